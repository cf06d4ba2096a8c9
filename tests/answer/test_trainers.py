import pytest

from visreason.answer import accuracy_reward, compute_score, grade
from visreason.errors import DataError


def test_trl_columns_of_every_name_and_both_kinds_of_completion():
    completions = [[{"role": "assistant", "content": r"\boxed{4}"}], r"\boxed{5}"]
    for name in ("answer", "solution", "ground_truth", "gold"):
        assert accuracy_reward(completions, prompts=["", ""], **{name: ["4", "4"]}) == [1.0, 0.0]
    assert accuracy_reward(["(A)"], answer=["A"], choices=[["red", "blue"]]) == [1.0]


def test_trl_leaves_out_what_has_no_gold_answer():
    assert accuracy_reward([r"\boxed{4}"], answer=[""]) == [None]
    with pytest.raises(DataError, match="rename"):
        accuracy_reward([r"\boxed{4}"], prompts=[""])


def test_easyr1_batches_have_overall_format_and_accuracy():
    inputs = [
        {"response": r"<think>a</think>\boxed{4}", "ground_truth": "4"},
        {"response": "5", "ground_truth": "4"},
    ]
    assert compute_score(inputs, format_weight=0.5) == [
        {"overall": 1.0, "format": 1.0, "accuracy": 1.0},
        {"overall": 0.0, "format": 0.0, "accuracy": 0.0},
    ]


def test_grade_takes_conventions():
    assert not grade("28", "0.28").correct
    assert grade("28", "0.28", rules={"times_100": True}).correct
