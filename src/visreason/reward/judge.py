"""A language model as a judge: marks of open answers in discrete tiers, and verdicts on pairs."""

import re
from collections.abc import Sequence
from typing import Literal

from visreason.engine import Conversation, Engine, Sampling
from visreason.errors import DataError, RunError
from visreason.prompt import Style
from visreason.prompt.layouts import control_token
from visreason.prompt.put import put
from visreason.record import Completion, Pair, Problem, Sample, Score
from visreason.reward.correct import correct

TIERS = (0.0, 0.5, 1.0)
"""Marks of an open answer. WeThink says discrete tiers and not which; these are ours."""
MARK = re.compile(r"\bmark:?\s*\**\s*(\d*\.?\d+)(?![\d%])(?:\s*/\s*(\d*\.?\d+))?", re.IGNORECASE)
"""A mark, and of how many."""
ATTEMPTS = 3
MAX_TOKENS = 1024


class Judge:
    """The reward of answers by rule or by judge, as each problem's `check` says (WeThink, arXiv 2506.07905).

    Problems with check "judge" are marked by the engine against their answer, which a mark of the highest tier finds
    right; all others by rules. The same answer is marked once. One that gets no mark stops a `strict` judge, since a
    0 in its place would be learned from; else it is errored.
    """

    def __init__(
        self, engine: Engine, style: Style, tiers: Sequence[float] = TIERS, strict: bool = True
    ) -> None:
        self.engine, self.style, self.tiers, self.strict = engine, style, sorted(tiers), strict
        self._marks: dict[tuple[str, str, str], float] = {}

    def __call__(self, samples: list[Sample]) -> list[Score]:
        """Raises RunError when a strict judge gives no mark in ATTEMPTS replies, DataError for a problem without
        answer."""
        ruled = [s for s in samples if s.problem.check != "judge"]
        by_rule = iter(correct(ruled))
        asked = {self._key(s): s for s in samples if s.problem.check == "judge" and self._answer(s)}
        self._mark({k: s for k, s in asked.items() if k not in self._marks})
        return [next(by_rule) if s.problem.check != "judge" else self._score(s) for s in samples]

    def _answer(self, sample: Sample) -> str | None:
        """None also for an answer whose control token could end the judge's turn."""
        answer = self.style.parse(sample.completion.text).answer
        return None if answer is None or control_token(answer) else answer

    def _key(self, sample: Sample) -> tuple[str, str, str]:
        return sample.problem.id, sample.problem.question, self._answer(sample) or ""

    def _score(self, sample: Sample) -> Score:
        answer = self._answer(sample)
        if answer is None:
            return Score(0.0, reason="truncated" if sample.completion.finish == "length" else "unparsed")
        mark = self._marks.get(self._key(sample))
        if mark is None:
            return Score(0.0, answer, "errored")
        return Score(mark, answer, "judged" if mark == self.tiers[-1] else "wrong")

    def _mark(self, waiting: dict[tuple[str, str, str], Sample]) -> None:
        replies: list[str] = []
        for attempt in range(ATTEMPTS):
            if not waiting:
                return
            conversations = [self._conversation(s.problem, key[2]) for key, s in waiting.items()]
            answers = _ask(self.engine, conversations, attempt)
            if self.strict and (failed := next((a for a in answers if a.finish == "error"), None)):
                raise RunError(f"the judge {self.engine.name} could not answer: {failed.text}")
            replies = [a.text for a in answers]
            found = {key: self._read(reply) for key, reply in zip(waiting, replies, strict=True)}
            self._marks |= {key: mark for key, mark in found.items() if mark is not None}
            waiting = {key: s for key, s in waiting.items() if found[key] is None}
        if waiting and self.strict:
            raise RunError(
                f"expected a mark of {', '.join(map(_number, self.tiers))} from {self.engine.name} for "
                f"{next(iter(waiting))[0]!r}, found none in {ATTEMPTS} replies, the last {replies[-1][-120:]!r}; a "
                "0 in its place would be learned from"
            )

    def _conversation(self, problem: Problem, answer: str) -> Conversation:
        if problem.answer is None:
            raise DataError(
                f"problem {problem.id!r}: expected an answer for the judge to mark against, found none"
            )
        marks = [_number(t) for t in self.tiers]
        values = {"question": problem.question, "gold": problem.answer, "answer": answer, "tiers": ", ".join(marks),
                  "highest": marks[-1], "lowest": marks[0]}  # fmt: skip
        return _put("judge_answer.user.md", problem, values)

    def _read(self, reply: str) -> float | None:
        found = MARK.findall(reply)
        if not found:
            return None
        mark, whole = (float(number or 1) for number in found[-1])
        return next((tier for tier in self.tiers if tier * whole == mark), None)


def judge_pairs(engine: Engine, pairs: Sequence[Pair]) -> list[str]:
    """What the engine says to every pair, asked in both orders: `agree` or `disagree` where both say the same, `equal`
    where they don't, `unparsed` where one says nothing that can be read, or a side holds a control token and so can't
    be put, and `error` with the reason where it failed."""
    plain = [not any(map(control_token, (p.chosen.text, p.rejected.text))) for p in pairs]
    asked = [
        _put("judge_pair.user.md", p.problem,
             {"question": p.problem.question, "first": first.text, "second": second.text})
        for p, askable in zip(pairs, plain, strict=True) if askable
        for first, second in ((p.chosen, p.rejected), (p.rejected, p.chosen))
    ]  # fmt: skip
    found = iter(_ask(engine, asked, 0))
    return [_verdict(next(found), next(found)) if askable else "unparsed" for askable in plain]


def read_judgment(reply: str) -> Literal["1", "2", "equal"] | None:
    """The last overall judgment of a reply, as VL-RewardBench reads it, or that both are equal."""
    plain = re.sub(r"[\n*]", " ", reply)
    found = re.findall(
        r"(?:overall judgment|therefore)[^.]*?(?:answer (1|2) is (?:the )?(?:slightly )?better|(both)[^.]*equal)",
        plain,
        re.IGNORECASE,
    )
    if not found:
        return None
    return found[-1][0] or "equal"


def _verdict(first: Completion, second: Completion) -> str:
    for reply in (first, second):
        if reply.finish == "error":
            return f"error: {reply.text}"
    said = read_judgment(first.text), read_judgment(second.text)
    if said == ("1", "2"):
        return "agree"
    if said == ("2", "1"):
        return "disagree"
    return "unparsed" if None in said else "equal"


def _put(template: str, problem: Problem, values: dict[str, str]) -> Conversation:
    about = {"images": " about the images above" if problem.images else ""}
    return put(template, values | about, problem.images)


def _ask(engine: Engine, conversations: list[Conversation], attempt: int) -> list[Completion]:
    """One reply each: the likeliest first, then sampled ones."""
    sampling = Sampling(1, 0.0 if attempt == 0 else 0.7, max_tokens=MAX_TOKENS, seed=attempt)
    return [group[0] for group in engine.generate(conversations, sampling)]


def _number(tier: float) -> str:
    return f"{tier:g}"
