"""How well scores rank completions: accuracy on pairs, calibration, length bias, best of n. No torch."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from visreason.errors import DataError
from visreason.record import Pair, Sample
from visreason.stats import Interval, accuracy, by_problem, paired

BINS = 10
SCORED = ("chosen_score", "rejected_score", "chosen_tokens", "rejected_tokens")
"""Columns of a file of scores of pairs."""


@dataclass(frozen=True)
class Ranked:
    """A pair with the scores of its sides and their lengths in tokens.

    >>> from visreason.record import Completion, Problem
    >>> found = Ranked(Pair(Problem("p", "1+1?"), Completion("2"), Completion("3")), 1.5, -0.5, 4, 4)
    >>> found.right, found.row()["source"]
    (True, 'all')
    """

    pair: Pair
    chosen: float
    rejected: float
    chosen_tokens: int
    rejected_tokens: int

    @classmethod
    def of_row(cls, pair: Pair, row: dict[str, Any]) -> "Ranked":
        """The pair with what a file of scores keeps of it."""
        return cls(pair, *(row[name] for name in SCORED))

    @property
    def right(self) -> bool:
        """Whether the chosen side has the higher score; a tie is not right."""
        return self.chosen > self.rejected

    @property
    def source(self) -> str:
        return str(self.pair.problem.meta.get("source", "all"))

    def row(self) -> dict[str, Any]:
        """What a file of scores keeps of the pair, in the columns that benchmarks of pairs read."""
        known = {k: v for k, v in self.pair.problem.meta.items() if k == "subset"}
        found = (self.chosen, self.rejected, self.chosen_tokens, self.rejected_tokens)
        return {
            "id": self.pair.problem.id,
            "source": self.source,
            **known,
            **dict(zip(SCORED, found, strict=True)),
        }


def pair_summary(ranked: Sequence[Ranked]) -> dict[str, Any]:
    """Accuracy of all pairs, of those of equal length and by source; length bias; calibration.

    Raises DataError when there is no pair.
    """
    if not ranked:
        raise DataError("expected pairs to rank, found none")
    equal = [r for r in ranked if r.chosen_tokens == r.rejected_tokens]
    sources = sorted({r.source for r in ranked})
    return {
        "pairs": len(ranked),
        "ties": sum(r.chosen == r.rejected for r in ranked),
        "pair_accuracy": _accuracy(ranked).as_dict(),
        "pair_accuracy_of_equal_length": _accuracy(equal).as_dict() if equal else None,
        **({"by_source": {s: _accuracy([r for r in ranked if r.source == s]).as_dict() for s in sources}}
           if len(sources) > 1 else {}),
        "length_bias": {
            "chosen": correlation([(r.chosen, r.chosen_tokens) for r in ranked]),
            "rejected": correlation([(r.rejected, r.rejected_tokens) for r in ranked]),
            "longer_preferred": _longer(ranked, lambda r: r.chosen - r.rejected),
            "longer_chosen": _longer(ranked, lambda _: 1.0),
        },
        "calibration_error": calibration_error(ranked),
    }  # fmt: skip


def _accuracy(ranked: Sequence[Ranked]) -> Interval:
    """Over problems, since pairs of one problem share completions."""
    groups: dict[str, list[float]] = {}
    for r in ranked:
        groups.setdefault(r.pair.problem.id, []).append(float(r.right))
    return accuracy(list(groups.values()))


def _longer(ranked: Sequence[Ranked], preference: Callable[[Ranked], float]) -> float | None:
    """Share of the pairs of unequal length in which the longer side is preferred."""
    unequal = [r for r in ranked if r.chosen_tokens != r.rejected_tokens]
    agree = [preference(r) * (r.chosen_tokens - r.rejected_tokens) > 0 for r in unequal]
    return sum(agree) / len(agree) if agree else None


def correlation(points: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's r; None where one of the two does not vary.

    >>> correlation([(1, 2), (2, 4), (3, 7)])
    0.993
    """
    n = len(points)
    means = [math.fsum(p[i] for p in points) / n for i in (0, 1)] if n else []
    away = [(x - means[0], y - means[1]) for x, y in points]
    spread = math.sqrt(math.fsum(x * x for x, _ in away) * math.fsum(y * y for _, y in away))
    return round(math.fsum(x * y for x, y in away) / spread, 3) if spread > 0 else None


def calibration(ranked: Sequence[Ranked]) -> list[tuple[float, float, int]]:
    """(stated, found, pairs) of each tenth: how sure the model is that the higher score is the better side, under
    Bradley-Terry sigmoid(|gap|), and how often that is so."""
    ordered = sorted(ranked, key=lambda r: abs(r.chosen - r.rejected))
    bounds = [len(ordered) * i // BINS for i in range(BINS + 1)]
    parts = [ordered[a:b] for a, b in pairwise(bounds) if a < b]
    return [
        (
            sum(1 / (1 + math.exp(-abs(r.chosen - r.rejected))) for r in p) / len(p),
            sum(r.right for r in p) / len(p),
            len(p),
        )
        for p in parts
    ]


def calibration_error(ranked: Sequence[Ranked]) -> float:
    """Mean difference of stated and found over the tenths (expected calibration error)."""
    return sum(n * abs(stated - found) for stated, found, n in calibration(ranked)) / len(ranked)


def choices(samples: Sequence[Sample], part: str = "learned") -> dict[str, Any]:
    """Accuracy when one of each problem's n completions is taken: any (mean), the one with the highest `part` of its
    score (best), the most frequent answer's (majority), a right one where there is one (oracle). By n = 2, 4, 8, ...;
    the last row holds all completions.

    Problems count alike, as far as rules could judge them: those without an answer are left out, and errored samples
    are never chosen. Empty where some problem has one completion only.
    """
    groups = [g for g in by_problem(samples).values() if g[0].problem.answer is not None]
    n = min(map(len, groups), default=0)
    if n < 2:
        return {}
    sizes = [k for k in (2**i for i in range(1, n.bit_length())) if k < n] + [n]
    return {
        str(k): {name: take(groups, k, rule).as_dict() for name, rule in _rules(part).items()} for k in sizes
    }


def best_over_mean(samples: Sequence[Sample], part: str = "learned") -> Interval:
    """What choosing by score gains over any completion, problem by problem, of all completions."""
    groups = [g for g in by_problem(samples).values() if g[0].problem.answer is not None]
    means = [sum(s.score.correct for s in g) / len(g) for g in groups]
    return paired([best(g, part) for g in groups], means)


def take(groups: Sequence[Sequence[Sample]], n: int, rule: Callable[[Sequence[Sample]], float]) -> Interval:
    """Mean over problems of what a rule makes of each problem's first n completions."""
    return accuracy([[rule(g[:n])] for g in groups])


def _rules(part: str) -> dict[str, Callable[[Sequence[Sample]], float]]:
    return {
        "mean": lambda g: sum(s.score.correct for s in g) / len(g),
        "best": lambda g: best(g, part),
        "majority": majority,
        "oracle": lambda g: float(any(s.score.correct for s in g)),
    }


def best(group: Sequence[Sample], part: str = "learned") -> float:
    """Whether the completion with the highest score is right; the mean over those that share it."""
    scores = [s.score.parts.get(part, -math.inf) for s in group]
    top = [s.score.correct for s, score in zip(group, scores, strict=True) if score == max(scores)]
    return sum(top) / len(top)


def majority(group: Sequence[Sample]) -> float:
    """Whether the most frequent answer is right; the mean over the answers that share the first place, weighed by how
    often each form of them is right. Completions without an answer have no vote."""
    votes = Counter(s.score.answer for s in group if s.score.answer is not None)
    if not votes:
        return 0.0
    first = max(votes.values())
    tied = [answer for answer, n in votes.items() if n == first]
    right = [s.score.correct for s in group if s.score.answer in tied]
    return sum(right) / len(right)
