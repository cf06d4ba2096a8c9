"""Letting a language model read and judge responses: the prompts, bounded retries, and a cache of replies on disk.

The steps are those that each benchmark's authors publish; the words of the prompts are this package's own and lie in
`prompt/texts/judge.*.md`. A judge that answers nonsense, or fails, is asked again, at most TRIES times in all.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from visreason.bench.kind import Judging
from visreason.engine import Engine, Sampling
from visreason.engine.responses import Responses, digest
from visreason.prompt.chat import choice_lines
from visreason.prompt.layouts import disarmed
from visreason.prompt.styles import text
from visreason.record import Problem

TRIES = 3
MAX_TOKENS = 256
LAST_CHARS = 8_000
"""How much of a response a judge is shown: its end, where the answer stands."""
EXTRACT = text("judge.extract.md")
"""Asks what a response answers: as an option's letter, or in the form the question wants."""
LETTER = text("judge.letter.md")
"""Asks which option a response comes to; Z for none (VLMEvalKit, multiple_choice.py)."""
VERDICT = text("judge.verdict.md")
"""Asks whether an extracted answer is the gold one: 1 or 0 (MathVerse, score_answer_s2.py)."""
Read = Callable[[str], str | None]


def reply(problem: Problem, said: str) -> str | None:
    """An extraction as it stands, without what announces it; None for nothing at all.

    >>> reply(Problem("p", "?"), "Extracted answer: 14"), reply(Problem("p", "?"), " ")
    ('14', None)
    """
    return re.sub(r"(?i)^\s*extracted answer:\s*", "", said).strip() or None


def letter(problem: Problem, said: str) -> str | None:
    """The one option (or Z) that a reply consists of; None for anything else.

    >>> letter(Problem("p", "?", choices=("red", "blue")), "(B)"), letter(Problem("p", "?", choices=("red",)), "B or C")
    ('B', None)
    """
    found = re.fullmatch(r"\W*(?:answer\W*)?([A-Z])\W*", said.strip(), re.IGNORECASE)
    known = "ABCDEFGHIJKLMNOPQRSTUVWXY"[: len(problem.choices) or None] + "Z"
    return found.group(1).upper() if found and found.group(1).upper() in known else None


def yes_or_no(said: str) -> str | None:
    """1 or 0, where a reply says that and nothing else."""
    found = re.fullmatch(r"\W*(?:judge?ment\W*)?([01])\W*", said.strip(), re.IGNORECASE)
    return found.group(1) if found else None


class Judge:
    """An engine that is asked in text, with every reply kept in a file, so that nothing is asked twice."""

    def __init__(self, engine: Engine, cache: Path, seed: int = 0) -> None:
        self.engine, self.seed = engine, seed
        self.cache = Responses(cache)
        self.asked = 0

    def ask(self, prompts: Sequence[str], readers: Sequence[Read]) -> list[str | None]:
        """What each reader takes out of the reply to its prompt; None where every try was nonsense or failed."""
        found: list[str | None] = [None] * len(prompts)
        left = list(range(len(prompts)))
        for attempt in range(TRIES):
            replies = self._replies([prompts[i] for i in left], attempt)
            for i, said in zip(left, replies, strict=True):
                found[i] = readers[i](said) if said is not None else None
            left = [i for i in left if found[i] is None]
        return found

    def _replies(self, prompts: list[str], attempt: int) -> list[str | None]:
        """Replies from the cache or the engine, None for a failure; each try is warmer than the one before."""
        keys = [digest([self.engine.name, attempt, p]) for p in prompts]
        known = {key: found for key in keys if (found := self.cache.get(key))}
        fresh = {k: p for k, p in zip(keys, prompts, strict=True) if k not in known}
        if fresh:
            self.asked += len(fresh)
            sampling = Sampling(1, 0.5 * attempt, max_tokens=MAX_TOKENS, seed=self.seed + attempt)
            groups = self.engine.generate([_asked(p) for p in fresh.values()], sampling)
            known |= dict(zip(fresh, groups, strict=True))
        for key in fresh:
            if known[key][0].finish != "error":  # another day the judge may answer
                self.cache.put(key, known[key])
        return [known[k][0].text if known[k][0].finish != "error" else None for k in keys]


def read_by(
    judgings: Sequence[Judging], judge: Judge, problems: Sequence[Problem], responses: Sequence[str]
) -> list[str | None]:
    """First step: what every response answers, as the judge reads it where it has to be asked."""
    rows = list(zip(judgings, problems, responses, strict=True))
    found = [j.direct(p, r) for j, p, r in rows]
    left = [i for i, answer in enumerate(found) if answer is None]
    asked = [rows[i] for i in left]
    prompts = [filled(j.extract, p, r[-LAST_CHARS:]) for j, p, r in asked]
    readers = [lambda said, j=j, p=p: j.read(p, said) for j, p, _ in asked]
    for i, answer in zip(left, judge.ask(prompts, readers), strict=True):
        found[i] = answer
    return found


def judged_by(
    verdict: str, judge: Judge, problems: Sequence[Problem], answers: Sequence[str]
) -> list[str | None]:
    """Second step: "1" or "0" for every extracted answer, None where the judge said neither."""
    prompts = [filled(verdict, p, a) for p, a in zip(problems, answers, strict=True)]
    return judge.ask(prompts, [yes_or_no] * len(prompts))


def _asked(prompt: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": prompt}]}]


def filled(template: str, problem: Problem, answer: str) -> str:
    """The template with the question and its options, the gold answer and the answer to judge, in one pass."""
    lines = choice_lines(problem)
    question = f"{problem.question}\n{lines}" if lines else problem.question
    values = {"{question}": question, "{gold}": problem.answer or "", "{response}": disarmed(answer)}
    return re.sub(r"\{question\}|\{gold\}|\{response\}", lambda m: values[m.group()], template)
