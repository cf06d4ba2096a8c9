"""Every gold answer of the data sets at hand scores 1 against itself, bare and in each layout."""

import gzip
import json

import pytest

from tests.data.shared import shared
from visreason.answer import check
from visreason.prompt import STYLES
from visreason.record import Problem

LAYOUTS = (
    "{}",
    "<answer>{}</answer>",
    "<answer> {} </answer>",
    "\\boxed{{{}}}",
    "<think>No, 7 (A).</think>\n{}",
)


def mathvision(name):
    path = shared(f"data/mathvision/data/{name}")
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in data.splitlines()]
    return [Problem(r["id"], r["question"], answer=r["answer"], choices=tuple(r["options"])) for r in rows]


@pytest.mark.parametrize(("name", "count"), [("testmini.jsonl", 304), ("test.jsonl.gz", 3040)])
def test_golds_of_mathvision_score_1(name, count):
    problems = mathvision(name)
    assert len(problems) == count
    for problem in problems:
        for layout in LAYOUTS:
            score = check(problem, layout.format(problem.answer))
            assert score.correct, (problem, layout, score)


def test_golds_score_1_in_the_words_of_every_style():
    for problem in mathvision("testmini.jsonl"):
        for style in STYLES.values():
            score = check(problem, style.target("Let me see: 7? (A)?", problem.answer))
            assert score.correct, (problem, style.name, score)


def test_texts_of_the_right_option_score_1():
    for problem in mathvision("testmini.jsonl"):
        text = problem.choices["ABCDE".index(problem.answer)] if problem.choices else ""
        if len(text) > 1:  # a text of one letter reads as that letter
            assert check(problem, f"<answer>{text}</answer>").correct, problem
