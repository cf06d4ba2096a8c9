"""Intervals and counts: Wilson for one run, clustered for several samples a problem, paired for two runs.

Every interval is at 95 %. Values are fractions unless a caller says otherwise.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from visreason.errors import DataError
from visreason.record import CORRECT, Score

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A value, its 95 % bounds and the number of problems behind it.

    >>> Interval(0.5, 0.4, 0.6, 100).as_dict()
    {'value': 0.5, 'low': 0.4, 'high': 0.6, 'n': 100}
    """

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}], n = {self.n}"


def wilson(successes: float, n: int) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1).

    >>> str(wilson(8, 10))
    '80.0 % [49.0, 94.3], n = 10'
    """
    if n == 0:
        raise DataError("an interval needs at least one problem, found none")
    p, z2 = successes / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half), n)


def accuracy(values_PG: Sequence[Sequence[float]]) -> Interval:
    """Mean over problems of the mean over their samples. Samples of one problem are not independent, so the
    interval comes from the spread between problems; with one sample each and values 0 or 1 it is Wilson's.

    >>> str(accuracy([[1], [0], [1], [1]]))
    '75.0 % [30.1, 95.4], n = 4'
    """
    means_P = [sum(g) / len(g) for g in values_PG]
    if all(len(g) == 1 for g in values_PG) and set(means_P) <= {0.0, 1.0}:
        return wilson(sum(means_P), len(means_P))
    return _normal(means_P)


def paired(after_P: Sequence[float], before_P: Sequence[float]) -> Interval:
    """Mean difference of two runs on the same problems, in the same order, with the interval of the differences.

    >>> str(paired([1, 1, 0, 1], [0, 1, 0, 0]))
    '50.0 % [-6.6, 106.6], n = 4'
    """
    if len(after_P) != len(before_P):
        raise DataError(f"paired runs need the same problems, found {len(after_P)} and {len(before_P)}")
    return _normal([a - b for a, b in zip(after_P, before_P, strict=True)])


def p_value(difference: Interval) -> float:
    """Two-sided p of a paired difference under the normal approximation.

    >>> round(p_value(Interval(0.1, 0.0, 0.2, 50)), 3)
    0.05
    """
    se = (difference.high - difference.low) / (2 * Z)
    return math.erfc(abs(difference.value) / se / math.sqrt(2)) if se > 0 else float(difference.value == 0)


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
    variance = sum((v - mean) ** 2 for v in values) / (n - 1) if n > 1 else 0.0
    half = Z * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, n)
