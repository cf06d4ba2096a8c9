"""Engines put to work by prose templates: filled safely, asked again where the reply can't be read, within bounds."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from visreason.engine import Conversation, Engine, Sampling
from visreason.errors import DataError
from visreason.prompt.layouts import SPECIAL_TOKEN
from visreason.prompt.styles import text
from visreason.record import Image

TRIES = 3
FENCE = re.compile(r"</?(?:question|content|description|thought|answer_[ab]|data)>", re.IGNORECASE)
"""Marks between which templates put what others wrote; engines are told to read it as data."""
T = TypeVar("T")


def put(template: str, values: dict[str, str], images: Sequence[Image] = ()) -> Conversation:
    """One user turn: the images, then the template with its placeholders filled in one pass.

    What stands in the values is data: marks of the template's fences are taken out of it, and a control token of a
    tokenizer is refused with a DataError, since it could end the turn.
    """
    for value in values.values():
        if found := SPECIAL_TOKEN.search(value):
            raise DataError(f"expected plain text, found the control token {found.group()!r}")
    plain = {name: FENCE.sub(" ", value) for name, value in values.items()}
    filled = re.sub(r"\{(\w+)\}", lambda m: plain.get(m[1], m[0]), text(template))
    shown: list[dict[str, Any]] = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": filled}]}]


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
    return [*first, *longer[-2:]] if SPECIAL_TOKEN.search(str(longer[-2])) is None else first


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
