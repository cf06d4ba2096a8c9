"""Pairs of scored samples: which completions of a problem are set against each other, and by how much they differ."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from visreason.errors import DataError
from visreason.prompt.layouts import control_token
from visreason.record import Completion, Pair, Sample
from visreason.stats import by_problem

By = Literal["correct", "learned", "both"]


@dataclass(frozen=True)
class Pairing:
    """How pairs are made: which side is better (right against wrong, the higher learned score, or both at once), the
    least difference of learned scores, the most pairs of a problem, and whether sides of like length are sought."""

    by: By = "correct"
    min_margin: float = 0.0
    per_problem: int = 2
    match_length: bool = True


def make_pairs(samples: Iterable[Sample], how: Pairing) -> Iterator[Pair]:
    """Pairs of every problem's samples; one without any has none. Completions that failed, or whose score did, are left
    out, one that was cut off is never the better side, and no text stands in two pairs of a problem on the same side
    before every other text did.

    >>> from visreason.record import Problem, Score
    >>> made = [Sample(Problem("p", "1+1?"), Completion(t), Score(v, t, r)) for t, v, r in
    ...         (("2", 1.0, "exact"), ("3", 0.0, "wrong"))]
    >>> [(p.chosen.text, p.rejected.text, p.margin) for p in make_pairs(made, Pairing())]
    [('2', '3', 1.0)]
    """
    for group in by_problem(samples).values():
        found = {s.completion.text.strip(): s for s in group if _usable(s)}
        yield from _of_problem(list(found.values()), how)


def _usable(sample: Sample) -> bool:
    """Whether it was made and scored, and can be read back as a side of a pair."""
    failed = sample.completion.finish == "error" or sample.score.reason == "errored"
    return not failed and bool(sample.completion.text.strip()) and not control_token(sample.completion.text)


def _of_problem(group: list[Sample], how: Pairing) -> Iterator[Pair]:
    fitting = [
        (a, b, m)
        for a, b in product(group, group)
        if a.completion.finish == "stop" and (m := _margin(a, b, how.by)) is not None and m >= how.min_margin
    ]
    uses: dict[tuple[str, str], int] = {}
    for _ in range(min(how.per_problem, len(fitting))):
        best = min(fitting, key=lambda abm: _rank(abm, uses, how))
        fitting.remove(best)
        chosen, rejected, margin = best
        for side, sample in (("+", chosen), ("-", rejected)):
            key = (side, sample.completion.text)
            uses[key] = uses.get(key, 0) + 1
        yield Pair(chosen.problem, _bare(chosen), _bare(rejected), round(margin, 6))


def _rank(abm: tuple[Sample, Sample, float], uses: dict[tuple[str, str], int], how: Pairing) -> tuple:
    """What is taken first: unused texts, like lengths where that is asked for, the larger margin; then by a hash."""
    chosen, rejected, margin = abm
    used = uses.get(("+", chosen.completion.text), 0) + uses.get(("-", rejected.completion.text), 0)
    away = abs(_length(chosen.completion) - _length(rejected.completion)) if how.match_length else 0
    text = f"{chosen.completion.text}\0{rejected.completion.text}"
    return used, away, -margin, hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _margin(better: Sample, worse: Sample, by: By) -> float | None:
    """By how much one side is better; None where it is not."""
    right = better.score.correct and not worse.score.correct
    gap = _learned(better) - _learned(worse) if by != "correct" else 0.0
    if by == "correct":
        return 1.0 if right else None
    if by == "learned":
        return gap if gap > 0 else None
    return gap if right and gap > 0 else None


def _learned(sample: Sample) -> float:
    if "learned" not in sample.score.parts:
        raise DataError(
            f"expected samples with a learned score, found {sample.problem.id!r} without; score them first with "
            "visreason score reward=learned:PATH, or give by=correct"
        )
    return sample.score.parts["learned"]


def _length(completion: Completion) -> int:
    """Sampled tokens, or words and marks where there are none."""
    return len(completion.token_ids) or len(completion.text.split())


def _bare(sample: Sample) -> Completion:
    """The completion without the sampler's log-probs, which no pair needs."""
    return replace(sample.completion, logps=())
