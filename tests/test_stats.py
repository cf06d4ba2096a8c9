"""Intervals against published values, plain loops and simulation; counts that add up."""

import math
import random
import statistics

import pytest

from visreason.errors import DataError
from visreason.record import CORRECT, Completion, Problem, Sample, Score
from visreason.stats import Interval, accuracies, accuracy, by_problem, counts, p_value, paired, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_values_of_newcombe_1998_table_1(successes, n, low, high):
    found = wilson(successes, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_one_sample_a_problem_is_wilson():
    values = [[float(i < 17)] for i in range(60)]
    assert accuracy(values) == wilson(17, 60)


def test_all_right_is_not_certain():
    found = accuracy([[1.0] * 4] * 50)
    assert found.value == 1.0
    assert found.low == wilson(50, 50).low < 0.95
    assert found.high <= 1.0


def test_more_samples_of_the_same_problems_do_not_pretend_to_be_more_problems():
    values = [[float(i % 2)] for i in range(100)]
    once, often = accuracy(values), accuracy([v * 16 for v in values])
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert often.n == 100


def test_problems_weigh_alike_whatever_their_samples():
    assert accuracy([[1.0] * 9, [0.0]]).value == 0.5


@pytest.mark.parametrize(("samples", "spread"), [(1, 0.0), (4, 0.15), (4, 0.45)])
def test_the_interval_covers_the_truth_in_95_of_100_cases(samples, spread):
    rng = random.Random(0)
    truth, trials, hits = 0.7, 3000, 0
    for _ in range(trials):
        chances = [min(1.0, max(0.0, rng.choice((truth - spread, truth + spread)))) for _ in range(100)]
        found = accuracy([[float(rng.random() < c) for _ in range(samples)] for c in chances])
        middle = truth if truth + spread <= 1 else (truth - spread + 1) / 2
        hits += found.low <= middle <= found.high
    assert 0.93 <= hits / trials <= 0.97


def test_paired_is_the_plain_loop():
    rng = random.Random(1)
    after, before = ([rng.random() for _ in range(37)] for _ in range(2))
    differences = []
    for i in range(37):
        differences.append(after[i] - before[i])
    mean = sum(differences) / 37
    error = statistics.stdev(differences) / math.sqrt(37)
    found = paired(after, before)
    assert found.value == pytest.approx(mean)
    assert (found.low, found.high) == (
        pytest.approx(mean - 1.959964 * error),
        pytest.approx(mean + 1.959964 * error),
    )


def test_the_paired_interval_covers_the_truth_in_95_of_100_cases():
    rng = random.Random(2)
    trials, hits = 1500, 0
    for _ in range(trials):
        hardness = [rng.random() for _ in range(100)]
        before = [float(rng.random() < 0.8 * h) for h in hardness]
        after = [float(rng.random() < 0.8 * h + 0.2) for h in hardness]
        found = paired(after, before)
        hits += found.low <= 0.2 <= found.high
    assert 0.93 <= hits / trials <= 0.97


def test_paired_runs_need_the_same_problems():
    with pytest.raises(DataError, match="found 2 and 1"):
        paired([1, 0], [1])


@pytest.mark.parametrize("find", [lambda: wilson(0, 0), lambda: accuracy([]), lambda: paired([], [])])
def test_no_problems_have_no_interval(find):
    with pytest.raises(DataError, match="at least one problem"):
        find()


def test_p_values():
    assert p_value(paired([1, 1, 0, 0], [0, 0, 1, 1])) == pytest.approx(1.0)
    assert p_value(Interval(1.959964, 0.0, 2 * 1.959964, 9)) == pytest.approx(0.05)
    assert p_value(paired([1, 0], [1, 0])) == 1.0
    assert p_value(paired([1, 1, 1], [0, 0, 0])) == 0.25  # the sign test: 2 / 2^3


def sample(i: int, reason: str) -> Sample:
    return Sample(Problem(f"p{i}", "q"), Completion(""), Score(0.0, None, reason))


def test_counts_add_up_over_every_reason():
    reasons = [*CORRECT, "wrong", "unparsed", "unparsed", "truncated", "errored"]
    found = counts(Score(0.0, None, r) for r in reasons)
    assert found == {"n": 12, "correct": 7, "wrong": 1, "unparsed": 2, "truncated": 1, "errored": 1}
    assert found["n"] == sum(v for k, v in found.items() if k != "n")
    assert counts([]) == dict.fromkeys(found, 0)


def test_accuracy_of_all_and_of_completed():
    samples = [
        sample(1, "exact"),
        sample(1, "wrong"),
        sample(2, "truncated"),
        sample(2, "exact"),
        sample(3, "errored"),
    ]
    found = accuracies(samples)
    assert (found["all"].value, found["all"].n) == (pytest.approx((0.5 + 0.5 + 0) / 3), 3)
    assert (found["completed"].value, found["completed"].n) == (0.75, 2)
    assert list(accuracies([sample(1, "truncated")])) == ["all"]
    assert accuracies([]) == {}


def test_samples_of_one_problem_are_kept_together_in_order():
    samples = [sample(1, "exact"), sample(2, "wrong"), sample(1, "wrong")]
    assert by_problem(samples) == {"p1": [samples[0], samples[2]], "p2": [samples[1]]}


def test_bounds_are_on_their_sides_of_the_value_for_every_count() -> None:
    for n in (1, 7, 42, 126, 504):
        for k in range(n + 1):
            for found in (wilson(k, n), accuracy([[1.0]] * k + [[0.0]] * (n - k))):
                assert 0 <= found.low <= found.value <= found.high <= 1
