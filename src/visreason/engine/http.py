"""Any OpenAI-compatible server, or several that hold the same model, through the official client.

What goes wrong on the way is tried again: a server that is away or busy is waited for, one that answers nonsense or
hangs is asked a bounded number of times. Every kind of trouble is counted.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import openai

from visreason.engine import Conversation, Sampling
from visreason.engine.chat import EXTENDED, Exact, body_of, completions_of, models_of, to_wire
from visreason.engine.responses import Responses, digest
from visreason.engine.servers import Server, Servers
from visreason.engine.transfer import give
from visreason.errors import DataError, RunError, UsageError
from visreason.names import KEY, address
from visreason.record import Completion

CONNECT_S = 10.0
T = TypeVar("T")


class HTTP:
    """`http://HOST/v1#MODEL`, or several addresses with commas between them; without #MODEL the one that is served.

    `concurrency` requests are under way at a time, shared evenly. `timeout_s` bounds one request; `patience_s` says
    how long all servers may be away before the run stops. What was answered is kept in the file `responses`.
    `troubles` counts what went wrong on the way, by kind. With `exact` it answers for a trainer, whose weights the
    servers take from the folder that `reload` names.
    """

    device = "remote"

    def __init__(
        self,
        spec: str,
        concurrency: int = 32,
        timeout_s: float = 600.0,
        patience_s: float = 600.0,
        responses: Path | None = None,
        exact: Exact | None = None,
    ) -> None:
        addresses, _, self.model = spec.partition("#")
        self.urls = [address(url) for url in addresses.split(",")]
        self.name, self.concurrency = spec, concurrency
        self.timeout_s, self.patience_s = timeout_s, patience_s
        self.responses, self.exact = Responses(responses), exact
        self.troubles: Counter[str] = Counter()
        self.weights: Path | None = None
        self.answered = 0

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order.

        Raises RunError when no server answers for `patience_s`, when they refuse the key, and when not a single
        conversation was ever answered; UsageError when one of them holds no such model.
        """
        answers = _outcome(self._generate(conversations, sampling))
        self.answered += sum(c.finish != "error" for group in answers for c in group)
        if answers and not self.answered:
            raise RunError(
                f"expected answers of {', '.join(self.urls)}, found none to {len(answers)} conversations; the last: "
                f"{answers[-1][0].text}"
            )
        return answers

    def reload(self, folder: Path) -> None:
        """Every server answers with the weights in that folder from now on: it takes them before it is asked next."""
        self.weights = folder.resolve()

    async def _generate(
        self, conversations: list[Conversation], sampling: Sampling
    ) -> list[list[Completion]]:
        clients = [_client(url, self.timeout_s) for url in self.urls]
        call = Call(self, Servers(clients, self.timeout_s, self.patience_s, self.troubles), sampling)
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
        return [task.result() for task in tasks]


class Call:
    """One call of `generate`: its servers, and how many requests may go out at a time."""

    def __init__(self, engine: HTTP, servers: Servers, sampling: Sampling) -> None:
        self.engine, self.servers, self.sampling = engine, servers, sampling
        self.gate = asyncio.Semaphore(engine.concurrency)

    async def answer(self, conversation: Conversation, repeated: int) -> list[Completion]:
        """The completions of one conversation; the same one asked `repeated` times before gets other seeds."""
        async with self.gate:
            try:
                messages = [to_wire(m) for m in conversation]
            except DataError as e:
                return [self._error(str(e))] * self.sampling.n
            if not self.engine.model and isinstance(why := await self.servers.insist(self._meet), str):
                return [self._error(why)] * self.sampling.n
            key = self._key(messages, repeated)
            found = self.engine.responses.get(key)
            if found is None:
                found = await self._completions(messages, key)
                if all(c.finish != "error" for c in found):
                    self.engine.responses.put(key, found)
            return found

    def _key(self, messages: list[dict[str, Any]], repeated: int) -> str:
        """What an answer is kept under and its numbers are drawn by: the same wherever and whenever it is asked."""
        s = self.sampling
        drawn = [s.n, s.temperature, s.top_p, s.top_k, s.max_tokens, s.seed]
        drawn += [s.repetition_penalty] * (s.repetition_penalty != 1)
        return digest([self.engine.model, messages, drawn, repeated])

    async def _completions(self, messages: list[dict[str, Any]], key: str) -> list[Completion]:
        """n completions; error completions where the request is given up."""
        n, found = self.sampling.n, []
        while len(found) < n:  # a server that does not know n gives one at a time
            seed = random.Random(f"{key}/{len(found)}").getrandbits(31)
            wanted = n - len(found)

            async def asked(server: Server, wanted: int = wanted, seed: int = seed) -> list[Completion]:
                await self._meet(server)
                return await self._ask(server, messages, wanted, seed)

            made = await self.servers.insist(asked)
            found += [self._error(made)] * wanted if isinstance(made, str) else made
        return found

    async def _ask(
        self, server: Server, messages: list[dict[str, Any]], n: int, seed: int
    ) -> list[Completion]:
        engine = self.engine
        body = body_of(engine.model, messages, n, seed, self.sampling, bool(server.extended), engine.exact)
        raw = await server.client.chat.completions.with_raw_response.create(**body)
        answer = raw.http_response.json()
        return completions_of(answer, n, engine.name, engine.exact, self.sampling.temperature)

    async def _meet(self, server: Server) -> None:
        """Learn which model a server holds and what it understands, and see that its weights are those to answer with,
        before it is asked for the first time, and again after it was away."""
        async with server.meeting:
            if server.extended is not None:
                return
            raw = await server.client.models.with_raw_response.list()
            models, engine = models_of(raw.http_response.json()), self.engine
            if not engine.model and len(models) == 1:
                engine.model = next(iter(models))
            if engine.model not in models:
                raise UsageError(
                    f"expected the model {engine.model or 'of the address (#MODEL)'} at {server.url}, found "
                    f"{', '.join(models) or 'none'}; name one behind #, and servers of the same one"
                )
            if engine.weights:
                await give(server.client, engine.weights)
            server.extended = models[engine.model] in EXTENDED

    def _error(self, reason: str) -> Completion:
        return Completion(reason, finish="error", model=self.engine.name)


def _outcome(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, waited for; in another thread where this one runs a loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _client(url: str, timeout_s: float) -> openai.AsyncOpenAI:
    """The official client, without what it takes of the environment for OpenAI's own service; it follows no redirect,
    which would take pictures and prompts along."""
    client = openai.AsyncOpenAI(
        api_key=os.environ.get(KEY) or "none",
        base_url=url,
        timeout=openai.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s / 2)),
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
    )
    client.organization = client.project = None
    client._custom_headers = {}
    return client
