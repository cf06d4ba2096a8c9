"""The key of vLLM's server on every path: vLLM itself asks for it under /v1 alone, and /invocations answers anyone."""

import hmac
import os
from typing import Any

from starlette.responses import JSONResponse

OPEN = "/health"


class Guard:
    """ASGI middleware (vLLM's `--middleware`): requests without VLLM_API_KEY's key are refused, but for /health."""

    def __init__(self, app: Any) -> None:
        self.app, self.key = app, f"Bearer {os.environ['VLLM_API_KEY']}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        asks = scope["type"] in ("http", "websocket") and scope["path"] != OPEN
        refused = asks and not hmac.compare_digest(given, self.key)
        await (JSONResponse({"error": "Unauthorized"}, 401) if refused else self.app)(scope, receive, send)
