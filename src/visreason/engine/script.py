"""The script engine: answers from a file or a function, for replays and tests."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from visreason.engine import Conversation, Sampling
from visreason.errors import DataError
from visreason.names import function
from visreason.prompt.chat import IMAGE_MARK
from visreason.record import Completion, Image, Sample, from_json
from visreason.store import read_rows

Answer = Callable[[Conversation, int], str | Completion]
"""From a conversation and the number of the completion (0 to n - 1) to its text."""


class Script:
    """`FILE.jsonl`: samples of a run, replayed in order for each question about the same images, as they were; or rows
    {"question", "text"}. A conversation gets the answers of the longest recorded question that the user's words hold.
    `module:function`: called as function(conversation, i), gives a text or a completion.
    """

    device = "none"

    def __init__(self, source: str | Answer) -> None:
        if callable(source):
            self.name, self.answer = f"script:{getattr(source, '__name__', 'function')}", source
        else:
            self.name = f"script:{source}"
            replayed = source.endswith(".jsonl")
            self.answer = _replay(Path(source)) if replayed else function("FILE.jsonl or a function", source)

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order."""
        return [[self._complete(c, i) for i in range(sampling.n)] for c in conversations]

    def _complete(self, conversation: Conversation, i: int) -> Completion:
        found = self.answer(conversation, i)
        completion = found if isinstance(found, Completion) else Completion(found)
        return replace(completion, model=completion.model or self.name)


def _replay(path: Path) -> Answer:
    found: dict[tuple[str, tuple[str, ...] | None], list[Completion]] = {}
    for number, row in read_rows(path):
        question, images, completion = _recorded(row, f"{path} line {number}")
        found.setdefault((_plain(question), images), []).append(completion)

    def answer(conversation: Conversation, i: int) -> Completion:
        parts = [p for m in conversation if m["role"] == "user" for p in m["content"]]
        asked = _plain(" ".join(p["text"] for p in parts if p["type"] == "text"))
        shown = _shown(p["image"] for p in parts if p["type"] == "image")
        fitting = (k for k in found if k[0] in asked and k[1] in (shown, None))
        key = max(fitting, key=lambda k: (len(k[0]), k[1] is not None), default=None)
        if key is None:
            return Completion(f"{path} has no answer to {asked[-200:]!r} about these images", finish="error")
        return found[key][i % len(found[key])]

    return answer


def _recorded(row: dict[str, Any], where: str) -> tuple[str, tuple[str, ...] | None, Completion]:
    """Question, images (None: whatever they are) and answer of a row."""
    if "problem" in row and "completion" in row:
        sample = from_json(Sample, row)
        return sample.problem.question, _shown(sample.problem.images), sample.completion
    question, text = row.get("question"), row.get("text")
    if not isinstance(question, str) or not isinstance(text, str):
        raise DataError(f"{where}: expected question and text, found {', '.join(row)}")
    return question, None, Completion(text)


def _plain(text: str) -> str:
    """Words without the marks of images, which stand between the parts of a conversation."""
    return " ".join(IMAGE_MARK.sub(" ", text).split())


def _shown(images: Iterable[Image]) -> tuple[str, ...]:
    """What tells pictures apart wherever they lie: their hashes."""
    return tuple(image.sha256 or image.path for image in images)
