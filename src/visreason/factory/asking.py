"""Engines asked again where a reply can't be read, within bounds."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from visreason.engine import Conversation, Engine, Sampling
from visreason.errors import DataError
from visreason.prompt.layouts import TAGS, control_token
from visreason.prompt.put import put
from visreason.record import Completion, Image

TRIES = 3
CODE = re.compile(r"```([\w+#-]*)[^\n`]*\n(.*?)```", re.DOTALL)
"""A code block: its language, and what stands in it."""
T = TypeVar("T")


def ask(template: str, values: dict[str, str], images: Sequence[Image] = ()) -> Conversation | DataError:
    """The prompt of a template, or why it can't be put."""
    try:
        return put(template, values, images)
    except DataError as e:
        return e


def insist(
    engine: Engine,
    asked: Sequence[Conversation | DataError],
    read: Callable[[int, str], T],
    max_tokens: int,
    seed: int,
    thinks: bool = False,
) -> list[T | DataError]:
    """What `read(place, reply)` makes of every conversation's reply. One it raises DataError for is asked again with
    the reason, TRIES times in all; then, and for a conversation that could not be put, the error takes its place.
    `thinks` says that a thought and an answer were asked for; else a thought before the reply is left out."""
    found: list[Any] = list(asked)
    first = {i: c for i, c in enumerate(asked) if not isinstance(c, DataError)}
    waiting = first
    for attempt in range(TRIES):
        if not waiting:
            break
        sampling = Sampling(1, 0.7 if attempt else 0.0, max_tokens=max_tokens, seed=seed * TRIES + attempt)
        replies = engine.generate(list(waiting.values()), sampling)
        still: dict[int, Conversation] = {}
        for i, (reply, *_) in zip(waiting, replies, strict=True):
            try:
                found[i] = read(i, _said(reply, thinks))
            except DataError as e:
                found[i] = e
                still[i] = _again(first[i], reply, e)
        waiting = still
    return found


def _said(reply: Completion, thinks: bool) -> str:
    """A reply's text. Raises DataError for one that failed or was cut off."""
    if reply.finish != "stop":
        ended = reply.text[:200] if reply.finish == "error" else "one that was cut off"
        raise DataError(f"expected a whole reply, found {ended}")
    return behind_thought(reply.text.replace("\r\n", "\n"), thinks).strip()


def behind_thought(text: str, thinks: bool = False) -> str:
    """A reply without the thought that a reasoning model writes before it; with `thinks`, a thought that belongs to
    the reply stays.

    >>> behind_thought("<think>Hm.</think>[1]"), behind_thought("<think>Hm.</think><answer>4</answer>", thinks=True)
    ('[1]', '<think>Hm.</think><answer>4</answer>')
    >>> behind_thought("Hm.</think><think>2 + 2</think><answer>4</answer>", thinks=True)
    '<think>2 + 2</think><answer>4</answer>'
    """
    _, closed, rest = text.partition(TAGS[1])
    if not closed or (thinks and TAGS[1] not in rest):
        return text
    return rest if thinks else text.rpartition(TAGS[1])[2]


def _again(first: Conversation, reply: Completion, error: DataError) -> Conversation:
    """The first turn with the last reply and what was wrong with it, so that a conversation does not grow; as it was
    where there was no reply, or none that can be shown."""
    if reply.finish == "error" or control_token(reply.text):
        return first
    wrong = f"That reply can't be used: {error}. Reply again, in the form that was asked for."
    return [*first, _turn("assistant", behind_thought(reply.text)), _turn("user", wrong)]


def _turn(role: str, said: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": said}]}


def plain(reply: str) -> str:
    """The reply, where it says something that can be shown to another model. Raises DataError for any other."""
    if not reply:
        raise DataError("expected text, found an empty reply")
    if token := control_token(reply):
        raise DataError(f"expected plain text, found the control token {token!r}")
    return reply


def fenced(reply: str) -> str:
    r"""What stands in a reply's last code block, or the reply itself where it has none.

    >>> fenced("Here:\n```json \n[1]\n```"), fenced("[1]")
    ('[1]', '[1]')
    """
    blocks = CODE.findall(reply)
    return (blocks[-1][1] if blocks else reply).strip()
