import math
import random

import pytest

from visreason.errors import DataError
from visreason.record import Completion, Pair, Problem, Sample, Score
from visreason.reward.ranking import Ranked, best, calibration, choices, majority, pair_summary


def ranked(chosen, rejected, tokens=(5, 5), problem="p", source="a"):
    pair = Pair(Problem(problem, "?", meta={"source": source}), Completion("x"), Completion("y"))
    return Ranked(pair, chosen, rejected, *tokens)


def test_pairs_are_counted_by_problem_by_source_and_at_equal_length():
    found = pair_summary([
        ranked(1, 0, (5, 3)), ranked(1, 2), ranked(1, 0, (4, 4), "q", "b"), ranked(1, 1, (2, 9), "r", "b"),
    ])  # fmt: skip
    assert found["pair_accuracy"]["value"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["pair_accuracy_of_equal_length"]["value"] == 0.5
    assert found["ties"] == 1
    assert {s: v["value"] for s, v in found["by_source"].items()} == {"a": 0.5, "b": 0.5}
    assert found["length_bias"]["longer_chosen"] == 0.5
    with pytest.raises(DataError, match="found none"):
        pair_summary([])


def test_scores_that_say_how_sure_they_are_are_calibrated():
    rng = random.Random(0)
    pairs = []
    for i in range(4000):
        gap = rng.uniform(0, 4)
        right = rng.random() < 1 / (1 + math.exp(-gap))
        pairs.append(ranked(gap if right else 0, 0 if right else gap, problem=str(i)))
    assert pair_summary(pairs)["calibration_error"] < 0.03
    sure = [ranked(5 * r.chosen, 5 * r.rejected, problem=str(i)) for i, r in enumerate(pairs)]
    assert pair_summary(sure)["calibration_error"] > 0.1
    assert sum(n for _, _, n in calibration(pairs)) == 4000


def sample(right, learned, answer="a", problem="p", gold="a"):
    score = Score(learned, answer, "exact" if right else "wrong", {"learned": learned})
    return Sample(Problem(problem, "?", answer=gold), Completion(answer), score)


def test_one_of_n_is_taken_by_score_by_vote_or_by_an_oracle():
    p = [sample(0, 0.1, "b"), sample(1, 0.9), sample(0, 0.2, "b"), sample(0, 0.3, "c")]
    q = [
        sample(1, 0.1, problem="q"),
        sample(0, 0.2, "b", "q"),
        sample(1, 0.3, problem="q"),
        sample(1, 0.0, problem="q"),
    ]
    found = choices([*p, *q])
    assert list(found) == ["2", "4"]
    assert {k: v["value"] for k, v in found["4"].items()} == {
        "mean": 0.5,
        "best": 1.0,
        "majority": 0.5,
        "oracle": 1.0,
    }
    assert {k: v["value"] for k, v in found["2"].items()} == {
        "mean": 0.5,
        "best": 0.5,
        "majority": 0.5,
        "oracle": 1.0,
    }


def test_ties_give_their_mean_and_no_answer_has_no_vote():
    assert best([sample(1, 1.0), sample(0, 1.0)]) == 0.5
    assert majority([sample(1, 0, "a"), sample(0, 0, "b")]) == 0.5
    assert majority([sample(0, 0, None), sample(0, 0, None), sample(1, 0, "a")]) == 1.0
    assert majority([sample(0, 0, None)]) == 0.0


def test_nothing_is_chosen_from_one_completion_or_where_nothing_can_be_checked():
    assert choices([sample(1, 1.0)]) == {}
    assert choices([sample(0, 1.0, gold=None), sample(0, 2.0, gold=None)]) == {}
