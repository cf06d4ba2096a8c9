"""A learned reward that is served elsewhere: `learned:http://HOST:PORT`. Pictures are sent along."""

import base64
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from visreason.errors import RunError
from visreason.names import KEY, address
from visreason.record import Problem, Sample, Score
from visreason.stats import by_prompt

ATTEMPTS, FIRST_PAUSE_S, TIMEOUT_S = 7, 1.0, 600.0
"""A server that is away is waited for a minute: time to be started again."""
GROUPS = 32
"""Problems sent at a time."""


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the key along."""

    def redirect_request(self, req, fp, code, msg, headers, newurl) -> None:
        return None


class Remote:
    """The reward of a server started by `visreason serve reward=PATH`. Raises UsageError for an address with a key."""

    def __init__(self, url: str) -> None:
        self.url = address(url)

    def __call__(self, samples: list[Sample]) -> list[Score]:
        """Raw scores. Raises RunError when the server can't be reached, refuses, or can't read a problem."""
        groups = by_prompt(samples)
        values = [0.0] * len(samples)
        for start in range(0, len(groups), GROUPS):
            block = groups[start : start + GROUPS]
            asked = [_asked(samples[g[0]].problem, [samples[i].completion.text for i in g]) for g in block]
            for group, found in zip(block, self._post({"groups": asked}), strict=True):
                if isinstance(found, dict):
                    raise RunError(
                        f"{self.url} can't score {samples[group[0]].problem.id!r}: {found.get('error')}"
                    )
                for i, value in zip(group, found, strict=True):
                    values[i] = float(value)
        return [Score(v, reason="unparsed") for v in values]

    def _post(self, body: dict[str, Any]) -> list[Any]:
        """The scores; a server that is away or busy is asked again after a growing pause."""
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.url}/score", json.dumps(body).encode(), headers)
        opener = urllib.request.build_opener(Stay)
        why: Exception | None = None
        for attempt in range(ATTEMPTS):
            try:
                with opener.open(request, timeout=TIMEOUT_S) as reply:
                    return json.loads(reply.read())["scores"]
            except urllib.error.HTTPError as e:
                if e.code not in (429, 502, 503, 504):
                    raise RunError(
                        f"{self.url} refused: {e.code} {e.read()[:400].decode('utf-8', 'replace')}"
                    ) from e
                why = e
            except (OSError, ValueError, KeyError) as e:
                why = e
            time.sleep(FIRST_PAUSE_S * 2**attempt if attempt + 1 < ATTEMPTS else 0)
        raise RunError(
            f"expected a reward server at {self.url}, got no scores in {ATTEMPTS} attempts ({why}); start one with "
            "visreason serve reward=PATH, or correct the address"
        )


def _asked(problem: Problem, texts: list[str]) -> dict[str, Any]:
    images = [base64.b64encode(Path(i.path).read_bytes()).decode() for i in problem.images]
    return {"question": problem.question, "choices": list(problem.choices), "images": images, "texts": texts}
