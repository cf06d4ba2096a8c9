import json
from pathlib import Path

import pytest

from visreason.answer import check
from visreason.answer.recorded import check_extraction
from visreason.errors import DataError
from visreason.record import Problem

CHOICES = ("red", "blue car", "green", "1/2")


def cases(name):
    rows = json.loads((Path(__file__).parent / "cases" / f"{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(row, id=row["because"].replace(" ", "-")) for row in rows]


@pytest.mark.parametrize("case", cases("value"))
def test_values(case):
    problem = Problem("p", "Q?", answer=case["answer"], check=case.get("check", "auto"))
    score = check(problem, case["response"], case.get("finish", "stop"))
    assert score.reason == case["reason"], score
    assert score.value == float(score.correct)


@pytest.mark.parametrize("case", cases("choice"))
def test_choices(case):
    problem = Problem("p", "Q?", answer=case["answer"], choices=tuple(case.get("choices", CHOICES)))
    score = check(problem, case["response"], case.get("finish", "stop"))
    assert score.reason == case["reason"], score
    assert score.value == float(score.correct)


@pytest.mark.parametrize(
    ("problem", "found"),
    [
        (Problem("p", "Q?"), "found none"),
        (Problem("p", "Q?", answer=" "), "found none"),
        (Problem("p", "Q?", answer="F", choices=CHOICES), "found 'F'"),
        (Problem("p", "Q?", answer="yellow", choices=CHOICES), "found 'yellow'"),
        (Problem("p", "Q?", answer="A", check="choice"), "found none"),
        (Problem("p", "Q?", answer="A", check="box"), "not supported yet"),
        (Problem("p", "Q?", answer="A", meta={"rules": {"percent": 1}}), "expected rules among"),
        (Problem("p", "Q?", answer="A", check="judge"), "not supported yet"),
        (Problem("p", "Q?", answer="A", meta={"rules": ["times_100"]}), "expected an object"),
        (
            Problem("p", "Q?", answer="A", meta={"rules": {"times_100": "yes"}}),
            "true or false for rule times_100",
        ),
        (Problem("p", "Q?", answer="A", meta={"rules": {"precision": "0.1"}}), "error of 0 or more"),
        (Problem("p", "Q?", answer="A", meta={"rules": {"precision": -1}}), "error of 0 or more"),
        (Problem("p", "Q?", answer="A", meta={"rules": {"unit": 3}}), "text for rule unit"),
        (Problem("p", "Q?", answer="A", meta={"precision": "high"}), "in meta.precision, found 'high'"),
        (Problem("p", "Q?", answer="A", meta={"error": "nan"}), "in meta.error"),
        (Problem("p", "Q?", answer="A", meta={"accepted": [4]}), "expected answers as text"),
        (Problem("p", "Q?", answer=4), "expected answers as text"),
    ],
)
def test_a_problem_that_can_not_be_checked_is_an_error_of_the_data(problem, found):
    with pytest.raises(DataError, match=found):
        check(problem, "A")


def test_a_gold_answer_that_names_two_options_wants_both():
    problem = Problem("p", "Q?", answer="A, C", choices=CHOICES)
    assert check(problem, "<answer>C and A</answer>").correct
    assert not check(problem, "<answer>A</answer>").correct


def test_a_number_within_a_formula_names_no_option():
    problem = Problem("p", "Q?", answer="B", choices=("1 cm", "2", "3 cm"))
    assert not check(problem, "The answer is: -2\\pi").correct
    assert check(problem, "The answer is: it has 2 of them").correct


def test_an_option_with_a_unit_wants_it():
    problem = Problem("p", "Q?", answer="B", choices=("1 cm", "2 cm", "3 cm"))
    assert check(problem, r"\boxed{20 mm}").correct
    assert not check(problem, r"\boxed{2}").correct


def test_a_time_of_day_and_a_compound_are_read_in_short():
    pairs = [
        ("3:00 PM", "3 PM"),
        ("3 pm", "15:00"),
        ("H_2O", "H2O"),
        ("CO2", "$CO_2$"),
        ("H_2O", "H₂O"),
    ]
    assert all(check(Problem("p", "Q?", answer=gold), answer).correct for gold, answer in pairs)
    pairs = [("3:00 PM", "3 AM"), ("15:00", "3 AM"), ("3:00 PM", "3:00"), ("H_2O", "H_2O_2"), ("10_2", "102")]
    assert not any(check(Problem("p", "Q?", answer=gold), answer).correct for gold, answer in pairs)


def test_a_kept_extraction_is_compared_with_the_option_that_a_gold_letter_names():
    problem = Problem("p", "Q?", answer="B", choices=("Yes", "No"), meta={"question_type": "multi_choice"})
    assert check_extraction(problem, "(B)").correct
    assert not check_extraction(problem, "(A)").correct


def test_what_was_read_is_shown_in_a_bounded_length():
    score = check(Problem("p", "Q?", answer="4"), "<answer>" + "word " * 1000 + "</answer>")
    assert len(score.answer) == 200


@pytest.mark.parametrize(
    ("meta", "near", "far"),
    [
        ({"precision": 2}, "7.004", "7.1"),
        ({"precision": 0}, "7.4", "7.6"),
        ({"precision": 0.25}, "7.2", "7.3"),
        ({"precision": 1e33}, "9e32", "2e33"),
        ({"precision": "[2]"}, "7.004", "7.1"),
        ({"error": "0.1,0.2", "precision": 5}, "7.1", "7.2"),
        ({"error": 0}, "7.0", "7.001"),
        ({"error": "", "precision": None, "rules": None}, "7.0", "7.001"),
    ],
)
def test_how_near_is_near_is_stated_by_the_problem(meta, near, far):
    problem = Problem("p", "Q?", answer="7", meta=meta)
    assert check(problem, near).correct
    assert not check(problem, far).correct


def test_options_that_are_letters_in_brackets_are_named_by_them():
    problem = Problem("p", "Q?", answer="(b)", choices=("(c)", "(a)", "(e)", "(d)", "(b)"))
    assert check(problem, "(b)").correct
    assert not check(problem, "B").correct
    assert check(problem, "E").correct
