"""Any OpenAI-compatible server, or several that hold the same model, through the official client.

What goes wrong on the way is tried again: a server that is away or busy is waited for, one that answers nonsense or
hangs is asked a bounded number of times. Every kind of trouble is counted.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import openai
from rich.console import Console

from visreason.engine import Conversation, Sampling
from visreason.engine.chat import (
    EXTENDED,
    BrokenAnswer,
    completions_of,
    kind_of,
    models_of,
    name_of,
    retry_after_s,
    to_wire,
)
from visreason.engine.responses import Responses, digest
from visreason.errors import DataError, RunError, UsageError
from visreason.names import KEY, address
from visreason.prompt.chat import VISUAL_TOKENS
from visreason.record import Completion

TRIES = 6
"""Answers that may be broken, or not come in time, before a conversation is given up."""
FIRST_REST_S, LONGEST_REST_S = 0.5, 30.0
LOUD = 3
"""Failures of a server in a row that are worth a word."""
T = TypeVar("T")
console = Console(stderr=True)


@dataclass
class Server:
    """One address: what it has under way, what it was asked in all, and until when it is left alone after trouble."""

    client: openai.AsyncOpenAI
    under_way: int = 0
    asked: int = 0
    failures: int = 0
    resting_until: float = 0.0

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def rest(self, at_least_s: float) -> None:
        """Leave it alone, twice as long after each failure in a row, with jitter. Failures at one time count once."""
        now = time.monotonic()
        if now >= self.resting_until:
            pause_s = min(LONGEST_REST_S, FIRST_REST_S * 2**self.failures) * random.uniform(0.5, 1)
            self.resting_until = now + max(pause_s, min(at_least_s, LONGEST_REST_S))
            self.failures += 1


class HTTP:
    """`http://HOST/v1#MODEL`, or several addresses with commas between them; without #MODEL the one that is served.

    `concurrency` requests are under way at a time, shared evenly. `timeout_s` bounds one request; `patience_s` says
    how long nothing at all may be answered before the run stops. What was answered is kept in the file `responses`.
    `troubles` counts what went wrong on the way, by kind.
    """

    device = "remote"

    def __init__(
        self,
        spec: str,
        concurrency: int = 32,
        timeout_s: float = 600.0,
        patience_s: float = 600.0,
        responses: Path | None = None,
    ) -> None:
        addresses, _, self.model = spec.partition("#")
        self.urls = [address(url) for url in addresses.split(",")]
        self.name, self.concurrency = spec, concurrency
        self.timeout_s, self.patience_s = timeout_s, patience_s
        self.responses = Responses(responses)
        self.troubles: Counter[str] = Counter()
        self.extended: bool | None = None
        self.answered = 0

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order.

        Raises RunError when no server answers for `patience_s`, when they refuse the key, and when not a single
        conversation was ever answered; UsageError when they hold no such model.
        """
        return asyncio.run(self._generate(conversations, sampling))

    async def _generate(
        self, conversations: list[Conversation], sampling: Sampling
    ) -> list[list[Completion]]:
        timeout = openai.Timeout(self.timeout_s, connect=10.0)
        key = os.environ.get(KEY) or "none"
        clients = [
            openai.AsyncOpenAI(api_key=key, base_url=u, timeout=timeout, max_retries=0) for u in self.urls
        ]
        call = Call(self, [Server(c) for c in clients], sampling)
        seen: Counter[str] = Counter()
        tasks = []
        try:
            async with asyncio.TaskGroup() as group:
                for conversation in conversations:
                    asked = repr(conversation)
                    tasks.append(group.create_task(call.answer(conversation, seen[asked])))
                    seen[asked] += 1
        except BaseExceptionGroup as e:
            raise e.exceptions[0] from None
        finally:
            for client in clients:
                await client.close()
        answers = [task.result() for task in tasks]
        self.answered += sum(c.finish != "error" for group in answers for c in group)
        if answers and not self.answered:
            raise RunError(
                f"expected answers of {', '.join(self.urls)}, found none to {len(answers)} conversations; the last: "
                f"{answers[-1][0].text}"
            )
        return answers


class Call:
    """One call of `generate`: its servers, and how many requests may go out at a time."""

    def __init__(self, engine: HTTP, servers: list[Server], sampling: Sampling) -> None:
        self.engine, self.servers, self.sampling = engine, servers, sampling
        self.gate = asyncio.Semaphore(engine.concurrency)
        self.meeting = asyncio.Lock()
        self.heard = time.monotonic()

    async def answer(self, conversation: Conversation, repeated: int) -> list[Completion]:
        """The completions of one conversation; the same one asked `repeated` times before gets other seeds."""
        async with self.gate:
            n = self.sampling.n
            try:
                messages = [to_wire(m) for m in conversation]
            except DataError as e:
                return [self._error(str(e))] * n
            if not self.engine.model:
                await self._meet()
            key = digest([self.engine.model, messages, asdict(self.sampling), repeated])
            found = self.engine.responses.get(key)
            if found is not None:
                return found
            await self._meet()
            found = []
            while len(found) < n:  # a server that does not know n gives one at a time
                seed = self.sampling.seed + 1_000_003 * repeated + len(found)
                found += await self._persist(self._body(messages, n - len(found), seed))
            if all(c.finish != "error" for c in found):
                self.engine.responses.put(key, found)
            return found

    def _body(self, messages: list[dict[str, Any]], n: int, seed: int) -> dict[str, Any]:
        s = self.sampling
        body: dict[str, Any] = {
            "model": self.engine.model, "messages": messages, "n": n, "seed": seed, "temperature": s.temperature,
            "top_p": s.top_p, "max_completion_tokens": s.max_tokens,
        }  # fmt: skip
        if self.engine.extended:
            body["logprobs"] = True
            body["extra_body"] = {
                "return_token_ids": True, "skip_special_tokens": False, "bad_words": list(VISUAL_TOKENS),
                "top_k": s.top_k, "repetition_penalty": 1.0, "min_p": 0.0,
            }  # fmt: skip
        elif s.top_k:
            raise UsageError(f"{self.engine.name} does not know top_k={s.top_k}; leave it out")
        return body

    async def _meet(self) -> None:
        """Learn from the first server that answers which model it holds and what it understands."""
        async with self.meeting:
            if self.engine.extended is not None:
                return
            models = await self._insist(
                lambda server: server.client.models.with_raw_response.list(), models_of
            )
            if isinstance(models, str):
                raise RunError(
                    f"expected the list of models of {', '.join(self.engine.urls)}, found: {models}"
                )
            if not self.engine.model and len(models) == 1:
                self.engine.model = next(iter(models))
            if self.engine.model not in models:
                raise UsageError(
                    f"expected the model {self.engine.model or 'of the address (#MODEL)'} at "
                    f"{', '.join(self.engine.urls)}, found {', '.join(models) or 'none'}; name one behind #"
                )
            self.engine.extended = models[self.engine.model] in EXTENDED

    async def _persist(self, body: dict[str, Any]) -> list[Completion]:
        """Completions of a request, from whichever server; its n error completions when it is given up."""
        n = body["n"]
        found = await self._insist(
            lambda server: server.client.chat.completions.with_raw_response.create(**body),
            lambda answer: completions_of(answer, n, self.engine.name),
        )
        return [self._error(found)] * n if isinstance(found, str) else found

    async def _insist(self, ask: Callable[[Server], Awaitable[Any]], read: Callable[[Any], T]) -> T | str:
        """What `read` makes of the answer, asked again while servers are away or broken; the reason when given up."""
        broken, reason = 0, ""
        while broken < TRIES:
            server = await self._free()
            server.under_way, server.asked = server.under_way + 1, server.asked + 1
            try:
                raw = await ask(server)
                found = read(raw.http_response.json())
            except (openai.OpenAIError, BrokenAnswer, ValueError) as e:
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
        """The server with the least to do of those that are not left alone, waited for where there is none."""
        while True:
            now = time.monotonic()
            ready = [s for s in self.servers if s.resting_until <= now]
            if ready:
                return min(ready, key=lambda s: (s.under_way, s.asked))
            await asyncio.sleep(min(s.resting_until for s in self.servers) - now)

    def _trouble(self, server: Server, error: Exception) -> tuple[str, str]:
        """Counts it and leaves the server alone for a while. Its kind and what to say of it. Raises RunError when the
        key is refused, and when nothing was heard of any server for `patience_s`."""
        kind, name = kind_of(error), name_of(error)
        reason = f"{server.url}: {name}: {' '.join(str(error).split())[:300]}"
        if kind == "denied":
            raise RunError(f"{server.url} refuses the key ({name}); put the right one into {KEY}")
        self.engine.troubles[name] += 1
        if kind == "refused":
            return kind, reason
        server.rest(retry_after_s(error))
        if server.failures == LOUD:
            console.print(f"[yellow]{reason}; waiting for it", soft_wrap=True)
        silent_s = time.monotonic() - self.heard
        if kind == "away" and silent_s > self.engine.patience_s:
            raise RunError(
                f"expected answers of {', '.join(self.engine.urls)}, heard nothing for {silent_s:.0f} s; the last: "
                f"{reason}. Start the server and give the same command again: it goes on where it stopped"
            )
        return kind, reason

    def _error(self, reason: str) -> Completion:
        return Completion(reason, finish="error", model=self.engine.name)
