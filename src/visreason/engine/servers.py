"""The servers of one call: which is asked next, how long one in trouble is left alone, and when waiting ends."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import openai
from rich.console import Console

from visreason.engine.chat import BrokenAnswer, kind_of, name_of, retry_after_s
from visreason.errors import RunError, VisreasonError
from visreason.names import KEY

TRIES = 6
"""Answers that may be broken, or not come in time, before a conversation is given up."""
FIRST_REST_S, LONGEST_REST_S = 0.5, 30.0
MOST_DOUBLINGS = 16
LOUD = 3
"""Failures of a server in a row that are worth a word."""
TROUBLES = (openai.OpenAIError, BrokenAnswer, ValueError, RecursionError, TimeoutError)
"""What a request may end with: errors of the client, no JSON, JSON nested without end, no answer in time."""
T = TypeVar("T")
console = Console(stderr=True)


@dataclass
class Server:
    """One address: what it has under way, what it was asked in all, and until when it is left alone after trouble.

    `extended` says whether it knows token ids, banned words and top_k; None of one that is not met yet.
    """

    client: openai.AsyncOpenAI
    under_way: int = 0
    asked: int = 0
    failures: int = 0
    resting_until: float = 0.0
    extended: bool | None = None
    meeting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def rest(self, at_least_s: float) -> None:
        """Leave it alone, twice as long after each failure in a row, with jitter. Failures at one time count once."""
        now = time.monotonic()
        if now >= self.resting_until:
            doubled_s = FIRST_REST_S * 2 ** min(self.failures, MOST_DOUBLINGS)
            pause_s = min(LONGEST_REST_S, doubled_s) * random.uniform(0.5, 1)
            self.resting_until = now + max(pause_s, min(at_least_s, LONGEST_REST_S))
            self.failures += 1


class Servers:
    """Servers of the same model. `timeout_s` bounds one request; `patience_s` how long they may all be away.

    `troubles` counts what goes wrong, by kind.
    """

    def __init__(
        self, clients: list[openai.AsyncOpenAI], timeout_s: float, patience_s: float, troubles: Counter[str]
    ) -> None:
        self.servers = [Server(c) for c in clients]
        self.timeout_s, self.patience_s, self.troubles = timeout_s, patience_s, troubles
        self.heard = time.monotonic()

    async def insist(self, work: Callable[[Server], Awaitable[T]]) -> T | str:
        """What `work` gets from a server, tried again while they are away or broken; the reason when given up.

        Raises RunError when a key is refused, and when all are away for `patience_s`.
        """
        broken, reason = 0, ""
        while broken < TRIES:
            server = await self._free()
            server.under_way, server.asked = server.under_way + 1, server.asked + 1
            try:
                async with asyncio.timeout(self.timeout_s):
                    found = await work(server)
            except VisreasonError:
                raise
            except TROUBLES as e:
                kind, reason = self._trouble(server, e)
                if kind == "refused":
                    return reason
                broken += kind == "broken"
                continue
            finally:
                server.under_way -= 1
            if server.failures >= LOUD:
                console.print(f"{server.url} answers again")
            server.failures, self.heard = 0, time.monotonic()
            return found
        return f"given up after {TRIES} tries; the last: {reason}"

    async def _free(self) -> Server:
        """The server with the least to do of those that are not left alone, waited for where there is none. One that
        failed at last has one request at a time, as long as others are well."""
        while True:
            now = time.monotonic()
            ready = [s for s in self.servers if s.resting_until <= now]
            if ready:
                return min(ready, key=lambda s: (bool(s.failures and s.under_way), s.under_way, s.asked))
            await asyncio.sleep(min(s.resting_until for s in self.servers) - now)

    def _trouble(self, server: Server, error: Exception) -> tuple[str, str]:
        """Counts it and leaves the server alone for a while. Its kind and what to say of it."""
        kind, name = kind_of(error), name_of(error)
        reason = f"{server.url}: {name}: {' '.join(str(error).split())[:300]}"
        if kind == "denied":
            raise RunError(f"{server.url} refuses the key ({name}); put the right one into {KEY}")
        self.troubles[name] += 1
        if name == "no connection":
            server.extended = None  # what comes back may be another
        if kind != "away":
            self.heard = time.monotonic()
        if kind != "refused":
            server.rest(retry_after_s(error))
            if server.failures == LOUD:
                console.print(f"[yellow]{reason}; waiting for it", soft_wrap=True)
        if kind == "away":
            self._lose_patience(reason)
        return kind, reason

    def _lose_patience(self, reason: str) -> None:
        """Raises RunError when nothing was heard for `patience_s`, and no other request is under way."""
        silent_s = time.monotonic() - self.heard
        if silent_s > self.patience_s and sum(s.under_way for s in self.servers) == 1:
            raise RunError(
                f"expected answers of {', '.join(s.url for s in self.servers)}, heard nothing for {silent_s:.0f} s; "
                f"the last: {reason}. Start the server and give the same command again: it goes on where it stopped"
            )
