"""What makes a completion unfit to learn, and layouts that are fit."""

import pytest

from visreason.data.filters import Limits, content, fault, language, relaid
from visreason.prompt import STYLES
from visreason.record import Completion, Problem, Sample, Score

SEEN = "I look at the picture and count four bars there."


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"<think>{SEEN}</think><answer>4</answer>", None),
        (f"{SEEN}</think>\n<answer>4</answer>", None),
        (f"<think>{SEEN}</think>It is 4.", None),
        (f"{SEEN}</think>It is 4.", None),
        (f"Sure, here it is: <think>{SEEN}</think><answer>4</answer>", "layout"),
        (f"<think>{SEEN}<answer>4</answer></think>", "layout"),
        (f"<think>{SEEN}</think>", "layout"),
        (f"<think>{SEEN}</think><answer>4", "layout"),
        (
            f"<think>{SEEN}</think>" + r"\boxed{\frac{\sqrt{2}}{2}} or \boxed{\frac{\sqrt{3}}{2}}",
            "two answers",
        ),
        (f"<think>{SEEN} The netlist says so.</think><answer>4</answer>", "trace"),
        (f"<think>{SEEN} By the OCR results.</think><answer>4</answer>", "trace"),
        ("<think>从图中可以看出这个数加一就得到了答案</think><answer>4</answer>", "language"),
    ],
)
def test_a_completion_falls_under_its_rule(text, rule):
    found = fault(Completion(text), "How many bars?", Limits())
    assert (found and found[0]) == rule


def test_words_of_the_question_are_no_traces():
    text = f"<think>{SEEN} The caption names them.</think><answer>4</answer>"
    assert fault(Completion(text), "What does the caption say?", Limits()) is None
    assert fault(Completion(text), "How many bars?", Limits()) == ("trace", "found 'caption'")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"如图，$\angle ABC = 30^\circ, AB = 5, BC = 7, CD = 9$，求面积", "zh"),
        (r"已知 AB=5, BC=7, \triangle ABC, \angle B = 90", "zh"),
        ("What does the sign 出口 mean here?", "en"),
        ("x = ?", "en"),
        ("A" * 50_000, "en"),
    ],
)
def test_formulas_and_quoted_signs_do_not_make_a_language(text, found):
    assert language(text) == found


def test_a_layout_keeps_how_the_completion_ended():
    done = Completion(f"{SEEN}</think><answer>4</answer>", "length", "m", (1,), (-0.5,))
    again = relaid(Sample(Problem("p", "Q?"), done, Score(1.0)), STYLES["awaker"]).completion
    assert again == Completion(f"<think>{SEEN}</think>\n<answer>4</answer>", "length", "m")
    assert content(again.text) == (SEEN, "4")
