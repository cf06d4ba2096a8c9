"""Every gold answer of the data sets at hand scores 1 against itself, in each layout; exceptions are listed."""

import ast
import gzip
import json
import re

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
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("logicvista/data/dataset.json.gz", "v1_382"): "the data set has no answer to it",
    ("mmmu/mmmu-pro/output/gpt-4o_standard(10 options)_cot.jsonl.gz", "validation_Accounting_29"): (
        "its options are a list within a list, so that the answer's letter has none"
    ),
}
"""(data set, id): why that gold answer can't be checked."""


def read(path):
    data = shared(f"data/{path}").read_bytes()
    text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
    try:
        rows = json.loads(text)
    except ValueError:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [{"id": k, **v} for k, v in rows.items()] if isinstance(rows, dict) else rows


def problem(name, row):
    """A row of a data set as a problem."""
    answer = row.get("final_answer") or row.get("ground_truth") or row.get("gt") or row.get("answer")
    choices = row.get("options") or row.get("choices") or ()
    if name.startswith("wemath"):
        choices = [
            re.sub(r"^\s*[A-H]\.\s*", "", c) for c in re.split(r";\s*(?=[A-H]\.)", row["option"].strip())
        ]
    if isinstance(choices, str):
        choices = ast.literal_eval(choices)
    answers = answer if isinstance(answer, list) else [answer]
    meta = {k: row[k] for k in ("unit", "precision", "answer_type", "error") if row.get(k) is not None}
    meta["accepted"] = [str(a) for a in answers[1:]]
    return Problem(
        str(row.get("id", row.get("pid", row.get("ID", row.get("sample_index", "row"))))), row.get("question", "?"),
        answer=str(answers[0]), choices=tuple(map(str, choices)), meta=meta,
    )  # fmt: skip


DATA = {
    "mathvision/data/testmini.jsonl": 304,
    "mathvision/data/test.jsonl.gz": 3040,
    "mathvista/data/testmini.json.gz": 1000,
    "mathverse/data/testmini_text_only.json.gz": 788,
    "wemath/data/testmini.json.gz": 1740,
    "dynamath/dataset/dataset.json.gz": 501,
    "logicvista/data/dataset.json.gz": 448,
    "mmmu/mmmu/answer_dict_val.json": 900,
    "mmmu/mmmu-pro/output/gpt-4o_standard(10 options)_cot.jsonl.gz": 1730,
    "olympiadbench/qwen25math_olympiadbench_OE_TO_maths_en_COMP.jsonl.gz": 675,
    "qwen25math_rm_maj/math_cot_100.jsonl.gz": 100,
    "r1v_eval/src/eval/prompts/geoqa_test_prompts.jsonl.gz": 754,
    "r1v_eval/src/eval/prompts/superclevr_test200_counting_problems.jsonl": 200,
}


@pytest.mark.parametrize(("name", "count"), DATA.items())
def test_golds_score_1_against_themselves(name, count):
    problems = [problem(name, row) for row in read(name)]
    assert len(problems) == count
    for p in problems:
        if (name, p.id) in EXCEPTIONS:
            continue
        for layout in LAYOUTS:
            score = check(p, layout.format(p.answer))
            assert score.correct, (p, layout, score)


def mathvision(name):
    return [problem(name, row) for row in read(f"mathvision/data/{name}")]


def test_golds_score_1_in_the_words_of_every_style():
    for p in mathvision("testmini.jsonl"):
        for style in STYLES.values():
            score = check(p, style.target("Let me see: 7? (A)?", p.answer))
            assert score.correct, (p, style.name, score)


def test_texts_of_the_right_option_score_1():
    for p in mathvision("testmini.jsonl"):
        text = p.choices["ABCDE".index(p.answer)] if p.choices else ""
        if len(text) > 1:  # a text of one letter reads as that letter
            assert check(p, f"<answer>{text}</answer>").correct, p
