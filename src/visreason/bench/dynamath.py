"""DynaMath: 501 questions in 10 variants. Source: DynaMath/DynaMath@598c3c3d, evaluation/opensource_json_eval.py."""

import json
import math
import re
from dataclasses import replace

from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import identity, need, number, pictures
from visreason.bench.figures import by_column
from visreason.bench.judging import EXTRACT, reply
from visreason.bench.kind import ALL, Bench, Given, Judging, Row, Rules
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval, by_problem, wilson

SHORT = {
    "plane geometry": "PG", "solid geometry": "SG", "analytic geometry": "AG", "algebra": "AL",
    "puzzle test": "PT", "graph theory": "GT", "statistics": "ST", "scientific figure": "SF", "arithmetic": "AR",
    "elementary school": "EL", "high school": "HI", "undergraduate": "UN",
}  # fmt: skip
VARIANT = re.compile(r"Variant (\d+)")


def problem(row: Row) -> Problem:
    """A question of one trial (its folder says which), of a TSV (varid), or of a table of verdicts."""
    seed, variant = _place(row)
    level = row.get("level", "knowledge_level", "Difficulty Level")
    meta = {
        "seed": seed,
        "subject": row.get("subject", "Topic"),
        "level": level,
        "answer_type": row.get("answer_type"),
    }
    meta = {k: str(v) for k, v in meta.items() if v is not None}
    if "verdict" in row.value:
        return Problem(f"{seed}:{variant}", "", meta=meta)
    answer = need(row, "answer", "ground_truth")
    if meta.get("answer_type") == "float":
        number(row, answer, "an answer")
    return Problem(f"{seed}:{variant}", need(row, "question"), pictures(row), answer, meta=meta)


def unfold(row: Row) -> list[Row]:
    """A line of a result table as ten rows, one for each variant."""
    if not isinstance(row.value, dict) or "Question ID" not in row.value:
        return [row]
    rest = {k: v for k, v in row.value.items() if not VARIANT.fullmatch(k)}
    found = [(m.group(1), v) for k, v in row.value.items() if (m := VARIANT.fullmatch(k)) and v]
    return [replace(row, value={**rest, "variant": i, "verdict": v}) for i, v in found]


def given(row: Row) -> Given | None:
    seed, variant = _place(row)
    if "verdict" in row.value:
        return (
            Given(f"{seed}:{variant}", correct=row.value["verdict"].strip().lower() == "correct")
            if seed
            else None
        )
    found = given_by_columns(row)
    return replace(found, id=f"{seed}:{variant}") if found and "qid" in row.value else found


def _place(row: Row) -> tuple[str, str]:
    """Question and variant: `Q17` and a column, qid and varid, or the key and the trial's folder or file."""
    name = str(row.get("Question ID", "qid") or identity(row)).removeprefix("Q")
    trial = re.search(r"trial(\d+)", str(row.file.parent)) or re.match(r"sample(\d+)-", row.file.name)
    variant = row.get("variant", "varid") or (trial.group(1) if trial else "1")
    return ("" if not name.isdigit() and row.get("Question ID") else name), str(variant)


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    """The short answer of the JSON that was asked for, or the response where it is one word; else the last line without
    its last character, as they do."""
    first, last = response.find("{"), response.rfind("}")
    text = response[first : last + 1].replace("\\", "") if 0 <= first < last else response
    try:
        found = json.loads(text, strict=False)
        if isinstance(found, dict) and "short answer" in found:
            return str(found["short answer"])
    except (ValueError, RecursionError):
        pass
    return (text.strip() if len(text.split()) == 1 else text.split("\n")[-1][:-1]) or None


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    gold, kind = problem.answer or "", problem.meta.get("answer_type")
    if kind == "float":
        value = _number(extraction)
        right = value is not None and abs(value - float(gold)) <= 0.001
        return Score(1.0, extraction, "numeric") if right else Score(0.0, extraction, "wrong")
    if kind == "multiple choice":
        right = extraction == gold if len(extraction) == 1 else gold in extraction[:3]
        return Score(1.0, extraction, "choice") if right else Score(0.0, extraction, "wrong")
    return Score(1.0, extraction, "exact") if gold in extraction else Score(0.0, extraction, "wrong")


def _number(text: str) -> float | None:
    try:
        if text.isdigit():
            return float(text)
        word = text.split(" ")[0]
        return float(word.split("π")[0]) * math.pi if "π" in word else float(word)
    except ValueError:
        return None


def columns(problem: Problem) -> list[str]:
    return [SHORT.get(v, v) for k in ("subject", "level") if (v := str(problem.meta.get(k, "")))]


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """Average case (ALL, PG, ...) over all variants; worst case: questions right in every variant."""
    average = by_column(samples, columns)
    seeds: dict[str, list[Sample]] = {}
    for group in by_problem(samples).values():
        seeds.setdefault(str(group[0].problem.meta["seed"]), []).append(group[0])
    tally: dict[str, list[bool]] = {}
    for group in seeds.values():
        right = all(s.score.correct for s in group)
        for name in (ALL, *columns(group[0].problem)):
            tally.setdefault(name, []).append(right)
    return average | {f"worst {name}": wilson(sum(found), len(found)) for name, found in tally.items()}


def prompt(problem: Problem) -> Style:
    ask = (
        " Answer in JSON with two keys: 'solution', with the steps that lead to the answer, and 'short answer'. For a "
        "multiple choice question the short answer is the letter alone, as 'A'; for a number, one with three digits."
    )
    floating = (
        " Please answer in a floating-point number." if problem.meta.get("answer_type") == "float" else ""
    )
    return Style(
        "dynamath", None, f"## Question\n{{question}}{floating}\n{ask.strip()}", write_plain, parse_plain
    )


BENCH = Bench(
    name="dynamath",
    title="DynaMath",
    source="DynaMath/DynaMath@598c3c3d",
    sizes={"test": 5010},
    files={
        "test": (
            "samples_and_result/10trials/trial*/dataset.json",
            "data/sample*.parquet",
            "DynaMath.tsv",
            "dataset/dataset.json",
        )
    },
    outputs="samples_and_result/*.csv",
    headline=(ALL, "worst ALL", *SHORT.values()),
    problem=problem,
    unfold=unfold,
    given=given,
    read=read,
    score=score,
    columns=columns,
    aggregate=aggregate,
    primary="worst ALL",
    prompt=prompt,
    judging=Judging(EXTRACT, reply),
)
