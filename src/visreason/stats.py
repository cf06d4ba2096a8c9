"""Intervals and counts: Wilson for one run, clustered for several samples a problem, paired for two runs.

Every interval is at 95 %. Values are fractions unless a caller says otherwise.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from visreason.errors import DataError
from visreason.record import CORRECT, Sample, Score

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""
TRIAL_OF = "trial_of"
"""Field of meta: the id of the pair that a question to a judge is one trial of."""


@dataclass(frozen=True)
class Interval:
    """A value, its 95 % bounds and the number of problems behind it; whether it is a share, or a difference of two.

    >>> Interval(0.5, 0.4, 0.6, 100).as_dict()
    {'value': 0.5, 'low': 0.4, 'high': 0.6, 'n': 100}
    """

    value: float
    low: float
    high: float
    n: int
    difference: bool = False

    def as_dict(self) -> dict[str, float]:
        """The fields; `difference` where it is one."""
        return {k: v for k, v in asdict(self).items() if k != "difference" or v}

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}], n = {self.n}"


def wilson(successes: float, n: float) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1).

    >>> str(wilson(8, 10))
    '80.0 % [49.0, 94.3], n = 10'
    """
    if n == 0:
        raise DataError("an interval needs at least one problem, found none")
    p, z2 = successes / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # Rounding may put a bound a hair inside p where p is 0 or 1.
    return Interval(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), round(n))


def accuracy(values_PG: Sequence[Sequence[float]]) -> Interval:
    """Mean over problems of the mean over their samples; values are within 0 and 1.

    Samples of one problem are not independent, so the interval is Wilson's at the effective size p (1 - p) / se^2,
    with se from the spread between problems (Korn and Graubard 1998; Dean and Pagano 2015). The effective size is
    kept between the number of problems and the number of samples.

    >>> str(accuracy([[1], [0], [1], [1]]))
    '75.0 % [30.1, 95.4], n = 4'
    >>> str(accuracy([[1, 1], [1, 1], [1, 1]]))
    '100.0 % [43.9, 100.0], n = 3'
    >>> str(accuracy([[1, 0] * 500]))
    '50.0 % [5.5, 94.5], n = 1'
    """
    means_P = [sum(g) / len(g) for g in values_PG]
    n, samples = len(means_P), sum(len(g) for g in values_PG)
    if n == 0:
        raise DataError("an interval needs at least one problem, found none")
    p = sum(means_P) / n
    squared_error = _variance(means_P) / n
    size = p * (1 - p) / squared_error if squared_error > 0 else samples if 0 < p < 1 and n > 1 else n
    size = min(max(size, n), samples)
    found = wilson(p * size, size)
    return Interval(p, min(p, found.low), max(p, found.high), n)


def by_problem(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples by problem id, both in the order they came; a judge's trials of a pair are samples of that pair."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.problem.meta.get(TRIAL_OF, sample.problem.id), []).append(sample)
    return groups


def by_prompt(samples: Sequence[Sample]) -> list[list[int]]:
    """Places of the samples that answer the same question with the same choices and images, in the order they came."""
    places: dict[tuple[object, ...], list[int]] = {}
    for i, sample in enumerate(samples):
        problem = sample.problem
        places.setdefault((problem.question, problem.choices, problem.images), []).append(i)
    return list(places.values())


def accuracies(samples: Iterable[Sample]) -> dict[str, Interval]:
    """Accuracy of `all` samples, and of the `completed` ones: neither truncated nor errored; left out where none is."""
    samples = list(samples)
    completed = [s for s in samples if s.score.reason not in ("truncated", "errored")]
    return {
        name: accuracy([[float(s.score.correct) for s in g] for g in by_problem(part).values()])
        for name, part in (("all", samples), ("completed", completed))
        if part
    }


def paired(after_P: Sequence[float], before_P: Sequence[float]) -> Interval:
    """Mean difference of two runs on the same problems, in the same order, with the interval of the differences.

    >>> str(paired([1, 1, 0, 1], [0, 1, 0, 0]))
    '50.0 % [-6.6, 106.6], n = 4'
    """
    if len(after_P) != len(before_P):
        raise DataError(f"paired runs need the same problems, found {len(after_P)} and {len(before_P)}")
    return replace(_normal([a - b for a, b in zip(after_P, before_P, strict=True)]), difference=True)


def p_value(difference: Interval) -> float:
    """Two-sided p of a paired difference under the normal approximation; the sign test's where all are alike.

    >>> round(p_value(Interval(0.1, 0.0, 0.2, 50)), 3)
    0.05
    """
    se = (difference.high - difference.low) / (2 * Z)
    if se > 0:
        return math.erfc(abs(difference.value) / se / math.sqrt(2))
    return 2.0 ** (1 - difference.n) if difference.value else 1.0


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p of two runs that are right on `first_only` and `second_only` problems alone (McNemar 1947).

    >>> round(mcnemar(159, 131), 5)
    0.1127
    """
    n = first_only + second_only
    term = tail = 1
    for i in range(min(first_only, second_only)):
        term = term * (n - i) // (i + 1)  # the next binomial coefficient
        tail += term
    return min(1.0, 2 * tail / 2**n)


def counts(scores: Iterable[Score]) -> dict[str, int]:
    """Samples by outcome; n is always the sum of the others.

    >>> counts([Score(1, "4", "numeric"), Score(0, None, "unparsed")])
    {'n': 2, 'correct': 1, 'wrong': 0, 'unparsed': 1, 'truncated': 0, 'errored': 0}
    """
    by = Counter("correct" if s.reason in CORRECT else s.reason for s in scores)
    return {"n": by.total(), **{k: by[k] for k in ("correct", "wrong", "unparsed", "truncated", "errored")}}


def _normal(values: Sequence[float]) -> Interval:
    n = len(values)
    if n == 0:
        raise DataError("an interval needs at least one problem, found none")
    mean = sum(values) / n
    half = Z * math.sqrt(_variance(values) / n)
    return Interval(mean, mean - half, mean + half, n)


def _variance(values: Sequence[float]) -> float:
    n = len(values)
    mean = sum(values) / n
    return sum((v - mean) ** 2 for v in values) / (n - 1) if n > 1 else 0.0
