"""A learned reward that is served elsewhere: `learned:http://HOST:PORT`. Pictures are sent along."""

import base64
import http.client
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from visreason.errors import RunError
from visreason.names import KEY, address
from visreason.record import Problem, Sample, Score
from visreason.stats import by_prompt

ATTEMPTS, FIRST_PAUSE_S, TIMEOUT_S = 7, 1.0, 600.0
"""A server that is away is waited for a minute: time to be started again."""
GROUPS, TEXTS, BODY_BYTES = 32, 64, 32 << 20
"""Problems sent at a time, texts of each, and bytes with the pictures, of one problem at least: as servers allow."""
Asked = tuple[list[int], str]
"""Places of the samples of a group, and the group as JSON."""


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
        values = [0.0] * len(samples)
        for block in _blocks(samples):
            body = f'{{"groups": [{", ".join(group for _, group in block)}]}}'
            for (places, _), found in zip(block, self._post(body.encode()), strict=True):
                if isinstance(found, dict):
                    raise RunError(
                        f"{self.url} can't score {samples[places[0]].problem.id!r}: {found.get('error')}"
                    )
                if not all(map(math.isfinite, found)):
                    raise RunError(
                        f"expected finite scores of {samples[places[0]].problem.id!r} from {self.url}, found {found}"
                    )
                for i, value in zip(places, found, strict=True):
                    values[i] = float(value)
        return [Score(v, reason="unparsed") for v in values]

    def _post(self, body: bytes) -> list[Any]:
        """The scores; a server that is away or busy is asked again after a growing pause."""
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.url}/score", body, headers)
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
            except (OSError, http.client.HTTPException, ValueError, KeyError) as e:  # also half a reply
                why = e
            time.sleep(FIRST_PAUSE_S * 2**attempt if attempt + 1 < ATTEMPTS else 0)
        raise RunError(
            f"expected a reward server at {self.url}, got no scores in {ATTEMPTS} attempts ({why}); start one with "
            "visreason serve reward=PATH, or correct the address"
        )


def _blocks(samples: list[Sample]) -> Iterator[list[Asked]]:
    """The samples as requests hold them."""
    block: list[Asked] = []
    used = 0
    for group in by_prompt(samples):
        for places in (group[i : i + TEXTS] for i in range(0, len(group), TEXTS)):
            asked = _asked(samples[group[0]].problem, [samples[i].completion.text for i in places])
            if block and (len(block) == GROUPS or used + len(asked) > BODY_BYTES):
                yield block
                block, used = [], 0
            block.append((places, asked))
            used += len(asked)
    if block:
        yield block


def _asked(problem: Problem, texts: list[str]) -> str:
    images = [base64.b64encode(Path(i.path).read_bytes()).decode() for i in problem.images]
    asked = {"question": problem.question, "choices": list(problem.choices), "images": images, "texts": texts}
    return json.dumps(asked)
