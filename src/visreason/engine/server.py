"""A small OpenAI-compatible server over any engine, for machines without vLLM. Requests that wait go together."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, model_validator

from visreason.engine import Conversation, Engine, Sampling
from visreason.errors import DataError, VisreasonError
from visreason.prompt.images import image_record
from visreason.record import Completion

GATHER_S = 0.02
"""How long the first request of a batch waits for company."""
UNHEEDED = ("stop", "tools", "response_format", "logit_bias", "frequency_penalty", "presence_penalty")
"""Fields that would change the answer, refused where they ask for something."""


class Ask(BaseModel):
    """What is read of a chat request; a null is as good as nothing. Other fields that leave the answer as it is are
    passed over, as OpenAI's own server adds to them over time."""

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    n: int = Field(1, ge=1, le=128)
    seed: int = 0
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = 0
    repetition_penalty: float = Field(1.0, gt=0)
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    return_token_ids: bool = False
    stream: Literal[False] = False

    @model_validator(mode="before")
    @classmethod
    def _refuse_unheeded(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {k: v for k, v in data.items() if v is not None}
        if strange := [k for k in UNHEEDED if given.get(k) and given[k] != {"type": "text"}]:
            raise ValueError(f"this server does not know {', '.join(strange)}; leave out")
        return given


@dataclass
class Waiting:
    """A conversation to be answered, and where its answer is awaited."""

    conversation: Conversation
    sampling: Sampling
    seed: int
    answer: asyncio.Future[list[Completion]]


class Batcher:
    """Hands requests with the same sampling but for the seed to the engine together, one batch at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.waiting: list[Waiting] = []
        self.busy = asyncio.Lock()

    async def answer(self, conversation: Conversation, sampling: Sampling, seed: int) -> list[Completion]:
        """The completions of one conversation, drawn by the seed. Raises what the engine raises."""
        mine = Waiting(conversation, sampling, seed, asyncio.get_running_loop().create_future())
        self.waiting.append(mine)
        async with self.busy:
            if not mine.answer.done():
                await asyncio.sleep(GATHER_S)
                await self._answer_those_like(sampling)
        return mine.answer.result()

    async def _answer_those_like(self, sampling: Sampling) -> None:
        alike = [w for w in self.waiting if w.sampling == sampling]
        self.waiting = [w for w in self.waiting if w.sampling != sampling]
        seeded = replace(sampling, seeds=tuple(w.seed for w in alike))
        try:
            answers = await asyncio.to_thread(self.engine.generate, [w.conversation for w in alike], seeded)
        except Exception as e:  # each request's own to raise
            for w in alike:
                w.answer.set_exception(e)
            return
        for w, completions in zip(alike, answers, strict=True):
            w.answer.set_result(completions)


def app(engine: Engine, name: str, folder: Path, max_tokens: int, key: str | None = None) -> FastAPI:
    """The server: /health, /v1/models and /v1/chat/completions for one model called `name`.

    Pictures come as data URLs only (the server opens no address) and are kept in `folder`, by hash. `max_tokens` is the
    longest answer. With a `key` every request must carry it.
    """
    batcher = Batcher(engine)

    def allowed(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
            raise HTTPException(401, "expected the server's key, found another")

    served = FastAPI(title="visreason", dependencies=[Depends(allowed)])
    served.add_exception_handler(HTTPException, _refuse)
    served.add_exception_handler(RequestValidationError, _refuse)

    @served.get("/health")
    def health() -> dict[str, str]:
        return {"engine": engine.name, "device": engine.device}

    @served.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "visreason"}]}

    @served.post("/v1/chat/completions")
    async def complete(ask: Ask) -> dict[str, Any]:
        if ask.model != name:
            raise HTTPException(404, f"expected the model {name}, found {ask.model}")
        try:
            completions = await _answered(ask, batcher, folder, max_tokens)
        except DataError as e:
            raise HTTPException(400, str(e)) from e
        except VisreasonError as e:
            raise HTTPException(500, str(e)) from e
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time()),
            "model": name, "choices": [_choice(i, c, ask) for i, c in enumerate(completions)],
        }  # fmt: skip

    return served


async def _answered(ask: Ask, batcher: Batcher, folder: Path, max_tokens: int) -> list[Completion]:
    """The completions of a request. Raises DataError for one that can't be read."""
    tokens = min(ask.max_completion_tokens or ask.max_tokens or max_tokens, max_tokens)
    sampling = Sampling(
        ask.n,
        ask.temperature,
        ask.top_p,
        max(ask.top_k, 0),
        tokens,
        repetition_penalty=ask.repetition_penalty,
    )
    completions = await batcher.answer([_message(m, folder) for m in ask.messages], sampling, ask.seed)
    if completions[0].finish == "error":
        raise DataError(completions[0].text)
    return completions


async def _refuse(request: Request, error: Any) -> JSONResponse:
    """Errors as OpenAI's clients read them."""
    if isinstance(error, RequestValidationError):
        found = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
        return JSONResponse({"error": {"message": found, "code": 422}}, 422)
    return JSONResponse({"error": {"message": error.detail, "code": error.status_code}}, error.status_code)


def _choice(i: int, completion: Completion, ask: Ask) -> dict[str, Any]:
    found: dict[str, Any] = {
        "index": i,
        "message": {"role": "assistant", "content": completion.text},
        "finish_reason": completion.finish,
    }
    if ask.return_token_ids and completion.token_ids:
        found["token_ids"] = completion.token_ids
    if ask.logprobs and completion.logps:
        found["logprobs"] = {"content": [{"token": "", "logprob": x} for x in completion.logps]}
    return found


def _message(message: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A message of the interface as engines read it. Raises DataError for parts that are neither text nor picture."""
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise DataError(f"expected the role system, user or assistant, found {role!r}")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise DataError(f"expected a text or a list of parts as content, found {type(content).__name__}")
    return {"role": role, "content": [_part(p, folder) for p in parts]}


def _part(part: Any, folder: Path) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise DataError(f"expected a part of a message, found {str(part)[:80]!r}")
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else None
    if part.get("type") != "image_url" or not isinstance(url, str):
        raise DataError(f"expected a part with text or image_url, found {str(part)[:80]!r}")
    head, _, data = url.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64")):
        raise DataError(f"expected a picture as a data URL (data:image/png;base64,...), found {url[:40]!r}")
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error as e:
        raise DataError(f"expected base64 in the data URL of a picture, found {data[:40]!r} ({e})") from e
    path = folder / hashlib.sha256(content).hexdigest()
    if not path.exists():
        path.write_bytes(content)
    return {"type": "image", "image": image_record(path)}
