"""A server that speaks OpenAI's chat interface and misbehaves as it is told, for tests of the client."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behave = Callable[[int, dict[str, Any]], str | int]
"""From the number of the request and its body: "well", a status, or the name of another misbehaviour."""


class FaultyServer(ThreadingHTTPServer):
    """Answers each question with itself in capitals. `asked` holds the bodies it got; `most` how many at a time. One
    with a `version` takes new weights; `told` holds what it was told about them."""

    daemon_threads = True

    def __init__(
        self, behave: Behave = lambda i, body: "well", owner: str = "someone", port: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behave, self.owner = behave, owner
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.now = self.most = 0
        self.retry_after, self.elsewhere, self.model = "0", "", "echo"
        self.version: str | None = None
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.emptied = True
        self.lock, self.released = threading.Lock(), threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def stop(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self.path == "/weight_info":
            known = self.server.version is not None
            self._send({"weight_version": self.server.version}, 200 if known else 404)
            return
        self._send({"data": [{"id": self.server.model, "owned_by": self.server.owner}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if not self.path.startswith("/v1"):
            self._take_weights(body)
            return
        with self.server.lock:
            self.server.asked.append(body)
            self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
            kind = self.server.behave(len(self.server.asked) - 1, body)
        time.sleep(0.01)
        with self.server.lock:
            self.server.now -= 1
        self._answer(kind, body)

    def _answer(self, kind: str | int, body: dict[str, Any]) -> None:
        if isinstance(kind, int):
            self._send({"error": {"message": f"status {kind}"}}, kind)
        elif kind == "hang":
            self.server.released.wait(30)
        elif kind == "late":
            time.sleep(0.6)
            self._send({"choices": [self._choice("well", body, 0)]})
        elif kind == "cut":
            self.connection.close()
        elif kind == "garbage":
            self._raw(b'{"choices": [{"mess', 200)
        elif kind == "nested":
            self._raw(b"[" * 100_000, 200)
        elif kind == "drips":
            self._drip()
        elif kind == "elsewhere":
            self._redirect()
        elif kind == "no choices":
            self._send({"choices": []})
        elif kind == "empty choice":
            self._send({"choices": [{"index": 0, "message": {"content": None}, "finish_reason": "stop"}]})
        elif kind == "a list":
            self._send([1, 2])
        else:
            self._send({"choices": [self._choice(kind, body, i) for i in range(body.get("n", 1))]})

    def _take_weights(self, body: dict[str, Any]) -> None:
        self.server.told.append((self.path, body))
        self.server.version = body.get("new_version", self.server.version)
        self._send({"success": self.server.emptied} if self.path == "/reset_prefix_cache" else {})

    def _drip(self) -> None:
        """Blanks before an answer that never comes, often enough that the connection never seems idle."""
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.released.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()

    def _redirect(self) -> None:
        self.send_response(307)
        self.send_header("Location", f"{self.server.elsewhere}/chat/completions")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _choice(self, kind: str, body: dict[str, Any], i: int) -> dict[str, Any]:
        parts = body["messages"][-1]["content"]
        text = " ".join(p["text"] for p in parts if p["type"] == "text").upper()
        found: dict[str, Any] = {"index": i, "message": {"content": text}, "finish_reason": "stop"}
        if kind == "thinks":
            found["message"] = {"content": text, "reasoning": "hm"}
        if body.get("return_token_ids"):
            ids = list(range(3))
            found |= {"token_ids": ids, "logprobs": {"content": [{"logprob": -0.5 - i} for _ in ids]}}
        if "logprob_token_ids" in body and kind != "plain":
            banned = [{"token": f"token_id:{i}", "logprob": -103.0} for i in body["logprob_token_ids"]]
            found["logprobs"] = {"content": [{"logprob": -0.5, "top_logprobs": banned} for _ in range(3)]}
        if kind == "no number":
            found |= {"token_ids": [float("inf")]}
        if kind == "no log-prob":
            found |= {"token_ids": [1], "logprobs": {"content": [{"logprob": float("nan")}]}}
        return found

    def _send(self, body: Any, status: int = 200) -> None:
        self._raw(json.dumps(body).encode(), status)

    def _raw(self, content: bytes, status: int) -> None:
        self.send_response(status)
        self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
