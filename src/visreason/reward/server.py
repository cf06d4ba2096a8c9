"""A reward model behind HTTP, for training on other machines: POST /score, with pictures in the request.

    {"groups": [{"question": ..., "choices": [...], "images": [base64, ...], "texts": [...]}, ...]}
    {"scores": [[...], ...]}; a group that can't be read has {"error": ...} in place of its scores

Requests that wait together are scored together. Nothing is kept; pictures live as long as their request.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from visreason.errors import DataError, RunError
from visreason.prompt import image_record
from visreason.record import Problem
from visreason.reward.learned import Group, Learned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a request may hold, and how long the server waits for others to join one."""

    body_bytes: int = 64 << 20
    characters: int = 1 << 20
    image_bytes: int = 16 << 20
    images: int = 16
    groups: int = 256
    texts: int = 64
    wait_s: float = 0.01


class AskedGroup(BaseModel):
    """A problem and texts that answer it."""

    model_config = ConfigDict(extra="forbid")

    question: str
    texts: list[str] = Field(min_length=1)
    choices: list[str] = []
    images: list[str] = []


class Asked(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid")

    groups: list[AskedGroup] = Field(min_length=1)


def app(reward: Learned, limits: Limits | None = None, key: str | None = None) -> FastAPI:
    """The application. With a `key` every request must carry it."""
    limits = limits or Limits()
    waiting: asyncio.Queue = asyncio.Queue()

    @asynccontextmanager
    async def working(_: FastAPI):
        task = asyncio.create_task(_work(reward, waiting, limits.wait_s))
        yield
        task.cancel()

    def allowed(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
            raise HTTPException(401, "expected the server's key, found another")

    api = FastAPI(title="visreason reward", lifespan=working, dependencies=[Depends(allowed)])

    @api.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ready", "style": reward.style.name}

    @api.post("/score")
    async def score(request: Request) -> dict[str, Any]:
        asked = _parsed(await _body(request, limits.body_bytes), limits)
        with tempfile.TemporaryDirectory() as folder:
            groups = [_group(g, folder, limits) for g in asked.groups]
            done = asyncio.get_running_loop().create_future()
            await waiting.put((groups, done))
            found = await done
        if isinstance(found, Exception):
            log.error("a request could not be scored", exc_info=found)
            mine = isinstance(found, RunError)
            raise HTTPException(500, str(found) if mine else f"the server failed ({type(found).__name__})")
        return {"scores": [{"error": _said(f, folder)} if isinstance(f, DataError) else f for f in found]}

    return api


async def _work(reward: Learned, waiting: asyncio.Queue, wait_s: float) -> None:
    """Score what waits, all of it at a time, off the event loop."""
    while True:
        jobs = [await waiting.get()]
        await asyncio.sleep(wait_s)
        while not waiting.empty():
            jobs.append(waiting.get_nowait())
        found = await _scores(reward, [g for job, _ in jobs for g in job])
        for job, done in jobs:
            if not isinstance(found, Exception):
                part = [found.pop(0) for _ in job]
            else:  # whose fault it was shows alone
                part = await _scores(reward, job) if len(jobs) > 1 else found
            if not done.done():  # the client may be gone
                done.set_result(part)


async def _scores(reward: Learned, groups: list[Group]) -> list[list[float] | DataError] | Exception:
    """What the model gives, off the event loop, or the error, whatever it is: those who wait must hear of it, and the
    next are still served."""
    try:
        return await asyncio.to_thread(lambda: list(reward.scores(groups)))
    except Exception as e:
        return e


async def _body(request: Request, most: int) -> bytes:
    """The body, read no further than allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(
                413, f"expected at most {most} bytes, found more; send fewer groups at a time"
            )
    return bytes(body)


def _parsed(body: bytes, limits: Limits) -> Asked:
    try:
        asked = Asked.model_validate_json(body)
    except ValueError as e:
        raise HTTPException(422, f"expected groups of question and texts: {str(e)[:400]}") from e
    for name, found, most in (
        ("groups", len(asked.groups), limits.groups),
        ("texts of a group", max(len(g.texts) for g in asked.groups), limits.texts),
        (
            "characters of a text",
            max(len(text) for g in asked.groups for text in (g.question, *g.texts, *g.choices)),
            limits.characters,
        ),
        ("images of a group", max(len(g.images) for g in asked.groups), limits.images),
    ):
        if found > most:
            raise HTTPException(413, f"expected at most {most} {name}, found {found}")
    return asked


def _said(error: DataError, folder: str) -> str:
    """The error without the server's own paths."""
    return str(error).replace(folder, "the request")


def _group(asked: AskedGroup, folder: str, limits: Limits) -> Group:
    images = []
    for text in asked.images:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as e:
            raise HTTPException(422, f"expected an image in base64, found text that is not ({e})") from e
        if len(data) > limits.image_bytes:
            raise HTTPException(
                413, f"expected images of at most {limits.image_bytes} bytes, found {len(data)}"
            )
        path = Path(folder, hashlib.sha256(data).hexdigest())
        path.write_bytes(data)
        try:
            images.append(image_record(path))
        except DataError as e:
            raise HTTPException(422, _said(e, folder)) from e
    return Problem("request", asked.question, tuple(images), choices=tuple(asked.choices)), asked.texts
