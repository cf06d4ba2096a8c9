"""Engines asked again where a reply can't be read, within bounds."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from visreason.engine import Conversation, Engine, Sampling
from visreason.errors import DataError
from visreason.prompt.layouts import control_token

TRIES = 3
T = TypeVar("T")


def insist(
    engine: Engine,
    asked: Sequence[Conversation | DataError],
    read: Callable[[int, str], T],
    max_tokens: int,
    seed: int,
    temperature: float = 0.0,
) -> list[T | DataError]:
    """What `read(place, reply)` makes of every conversation's reply. One it raises DataError for is asked again with
    the reason, TRIES times in all; then, and for a conversation that could not be put, the error takes its place."""
    found: list[Any] = list(asked)
    waiting = {i: c for i, c in enumerate(asked) if not isinstance(c, DataError)}
    for attempt in range(TRIES):
        if not waiting:
            break
        warm = temperature if attempt == 0 else max(temperature, 0.7)
        sampling = Sampling(1, warm, max_tokens=max_tokens, seed=seed * TRIES + attempt)
        replies = engine.generate(list(waiting.values()), sampling)
        still = {}
        for (i, conversation), (reply, *_) in zip(waiting.items(), replies, strict=True):
            try:
                if reply.finish != "stop":
                    ended = reply.text[:200] if reply.finish == "error" else "one that was cut off"
                    raise DataError(f"expected a whole reply, found {ended}")
                found[i] = read(i, reply.text.strip())
            except DataError as e:
                found[i] = e
                still[i] = [*conversation, _turn("assistant", reply.text), _turn("user", _again(e))]
        waiting = {i: asked_again(asked[i], c) for i, c in still.items()}
    return found


def asked_again(first: Any, longer: Conversation) -> Conversation:
    """The first turn with the last reply and what was wrong with it, so that a conversation does not grow."""
    return [*first, *longer[-2:]] if control_token(str(longer[-2])) is None else first


def _again(error: DataError) -> str:
    return f"That reply can't be used: {error}. Reply again, in the form that was asked for."


def _turn(role: str, said: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": said}]}


def fenced(reply: str) -> str:
    r"""What stands in a reply's last code block, or the reply itself where it has none.

    >>> fenced("Here:\n```json\n[1]\n```"), fenced("[1]")
    ('[1]', '[1]')
    """
    blocks = re.findall(r"```[\w+-]*\n(.*?)```", reply, re.DOTALL)
    return (blocks[-1] if blocks else reply).strip()
