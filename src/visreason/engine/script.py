"""The script engine: answers from a file or a function, for replays and tests."""

from collections.abc import Callable
from pathlib import Path

from visreason.engine import Conversation, Sampling
from visreason.errors import DataError
from visreason.names import imported
from visreason.record import Completion
from visreason.store import read_rows

Answer = Callable[[Conversation, int], str | Completion]
"""From a conversation and the number of the completion (0 to n - 1) to its text."""


class Script:
    """`FILE.jsonl`: rows {"question", "text"} or samples of a run, replayed in order for each question.
    `module:function`: called as function(conversation, i).
    """

    def __init__(self, source: str | Answer) -> None:
        if callable(source):
            self.name, self.answer = f"script:{getattr(source, '__name__', 'function')}", source
        else:
            self.name = f"script:{source}"
            replayed = source.endswith(".jsonl")
            self.answer = _replay(Path(source)) if replayed else imported("FILE.jsonl or a function", source)

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        return [[self._complete(c, i) for i in range(sampling.n)] for c in conversations]

    def _complete(self, conversation: Conversation, i: int) -> Completion:
        found = self.answer(conversation, i)
        return found if isinstance(found, Completion) else Completion(found, model=self.name)


def _replay(path: Path) -> Answer:
    texts: dict[str, list[str]] = {}
    for number, row in read_rows(path):
        question = row["problem"]["question"] if "problem" in row else row.get("question")
        text = row["completion"]["text"] if "completion" in row else row.get("text")
        if not isinstance(question, str) or not isinstance(text, str):
            raise DataError(f"{path} line {number}: expected question and text, found {', '.join(row)}")
        texts.setdefault(question, []).append(text)

    def answer(conversation: Conversation, i: int) -> str | Completion:
        asked = "\n".join(p["text"] for m in conversation for p in m["content"] if p["type"] == "text")
        question = max((q for q in texts if q in asked), key=len, default=None)
        if question is None:
            return Completion(f"{path} has no answer to {asked[-200:]!r}", finish="error")
        return texts[question][i % len(texts[question])]

    return answer
