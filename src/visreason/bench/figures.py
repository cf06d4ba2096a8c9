"""Figures from scored samples: shares by column with intervals, means of figures, pass@k, majority and best of n.

Values are fractions here; `percent` makes the figure that a manifest holds.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from visreason.bench.kind import ALL, Bench
from visreason.errors import DataError
from visreason.record import Problem, Sample
from visreason.stats import Interval, accuracy, by_problem

Verdict = Callable[[Sample], float]


def right(sample: Sample) -> float:
    return float(sample.score.correct)


def figures(bench: Bench, samples: list[Sample]) -> dict[str, Interval]:
    """Every column of the benchmark: the shares of right answers, and what it aggregates in its own way."""
    if not samples:
        raise DataError("expected samples to make figures of, found none")
    own = bench.aggregate(samples) if bench.aggregate else {}
    return own if ALL in own else {**by_column(samples, bench.columns), **own}


def by_column(
    samples: Iterable[Sample], columns: Callable[[Problem], Iterable[str]], verdict: Verdict = right
) -> dict[str, Interval]:
    """Share of right answers (mean over a problem's samples) in ALL and in every column a problem counts in."""
    values: dict[str, list[list[float]]] = {ALL: []}
    for group in by_problem(samples).values():
        verdicts = [verdict(s) for s in group]
        for name in dict.fromkeys((ALL, *columns(group[0].problem))):
            values.setdefault(name, []).append(verdicts)
    return {name: accuracy(values_PG) for name, values_PG in values.items()}


def mean_of(parts: Sequence[tuple[float, Interval]]) -> Interval:
    """Weighted mean of independent figures; its bounds by recovering variances from theirs (Zou and Donner 2008).

    >>> str(mean_of([(1, Interval(0.5, 0.4, 0.6, 10)), (1, Interval(0.7, 0.6, 0.8, 10))]))
    '60.0 % [52.9, 67.1], n = 20'
    """
    total = math.fsum(w for w, _ in parts)
    if total == 0:
        raise DataError("expected figures to take the mean of, found none")
    value = math.fsum(w * p.value for w, p in parts) / total
    low = math.sqrt(math.fsum((w / total * (p.value - p.low)) ** 2 for w, p in parts))
    high = math.sqrt(math.fsum((w / total * (p.high - p.value)) ** 2 for w, p in parts))
    return Interval(value, max(0.0, value - low), min(1.0, value + high), sum(p.n for _, p in parts))


def percent(interval: Interval) -> dict[str, float]:
    """A figure as a manifest holds it: percent, and how many problems are behind it.

    >>> percent(Interval(0.5, 0.4, 0.6, 10))
    {'value': 50.0, 'n': 10, 'low': 40.0, 'high': 60.0}
    """
    value, low, high = (100 * x for x in (interval.value, interval.low, interval.high))
    return {"value": value, "n": interval.n, "low": low, "high": high}


def sampling(samples: list[Sample], rewards: Sequence[float] | None = None) -> dict[str, Interval]:
    """Figures of several answers to each problem: average@n, pass@k for k = 1, 2, 4 ... n, majority@n, best@n.

    pass@k is the unbiased estimate 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, section 2.1). The majority is the
    largest group of samples with the same answer, the first of them where several are as large; samples without an
    answer have no vote. best@n takes the first sample with the highest of `rewards`, one for each sample. Problems of
    one sample are left out; of the others the first n samples count, as many as the one with the fewest has.
    """
    groups = [g for g in by_problem(samples).values() if len(g) > 1]
    if not groups:
        return {}
    n = min(map(len, groups))
    groups = [g[:n] for g in groups]
    ks = [*(2**i for i in range(n.bit_length()) if 2**i < n), n]
    found = {f"average@{n}": accuracy([[right(s) for s in g] for g in groups])}
    found |= {f"pass@{k}": accuracy([[_pass_at(g, k)] for g in groups]) for k in ks}
    found[f"majority@{n}"] = accuracy([[_majority(g)] for g in groups])
    if rewards is not None:
        value = {id(s): r for s, r in zip(samples, rewards, strict=True)}
        found[f"best@{n}"] = accuracy([[right(max(g, key=lambda s: value[id(s)]))] for g in groups])
    return found


def _pass_at(group: list[Sample], k: int) -> float:
    wrong = sum(not s.score.correct for s in group)
    return 1.0 - math.comb(wrong, k) / math.comb(len(group), k)


def _majority(group: list[Sample]) -> float:
    votes: Counter[str | None] = Counter(s.score.answer for s in group if s.score.answer is not None)
    most = max(votes.values(), default=0)
    return next((right(s) for s in group if most and votes[s.score.answer] == most), 0.0)
