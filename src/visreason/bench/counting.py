"""Counting on SuperCLEVR-200 and answers on GeoQA-Test. Source: Deep-Agent/R1-V@bbbbe3dc, src/eval."""

from dataclasses import replace

from visreason.answer import check
from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import need
from visreason.bench.kind import ALL, Bench, Given, Published, Row, Rules
from visreason.prompt import STYLES, Style
from visreason.record import Image, Problem, Score


def problem(row: Row) -> Problem:
    """A line of the prompts, or the question inside a line of the logs."""
    if isinstance(row.value.get("question"), dict):
        row = replace(row, value=row.value["question"])
    path = need(row, "image_path")
    return Problem(_name(path), need(row, "question"), (Image(path),), need(row, "ground_truth"))


def given(row: Row) -> Given | None:
    found = given_by_columns(row)
    question = row.value.get("question")
    path = question["image_path"] if isinstance(question, dict) else row.value.get("image_path")
    return replace(found, id=_name(path)) if found and path else found


def _name(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """A count must be the same number; GeoQA's answers carry the verdict of math_verify in the logs."""
    if "judged" in problem.meta:
        return Score(1.0, extraction, "judged") if problem.meta["judged"] else Score(0.0, extraction, "wrong")
    return check(problem, extraction)


def prompt(problem: Problem) -> Style:
    return STYLES["r1_onevision"]


README = "Deep-Agent/R1-V@bbbbe3dc README"
BENCH = Bench(
    name="counting",
    title="SuperCLEVR-200 and GeoQA-Test (R1-V)",
    source="Deep-Agent/R1-V@bbbbe3dc",
    empty_scores=True,
    sizes={"superclevr": 200, "geoqa": 754},
    files={
        "superclevr": ("src/eval/prompts/superclevr_test200_counting_problems.jsonl",),
        "geoqa": ("src/eval/prompts/geoqa_test_prompts.jsonl",),
    },
    outputs="src/eval/logs/counting*.json*",
    problem=problem,
    given=given,
    score=score,
    prompt=prompt,
    published=(
        Published("Qwen2-VL-2B-Instruct, SuperCLEVR", {ALL: 48.0}, README),
        Published("Qwen2-VL-2B GRPO-100, SuperCLEVR", {ALL: 82.5}, README),
        Published("Qwen2-VL-7B-Instruct, GeoQA", {ALL: 30.63}, README),
        Published("Qwen2-VL-7B GRPO, GeoQA", {ALL: 38.72}, README),
    ),
)
