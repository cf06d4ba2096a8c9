"""LogicVista, 448 problems. Source: Yijia-Xiao/LogicVista@e5795f17, eval/extract_accuracy.py."""

import ast
import re

from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import identity, need, options, verdict
from visreason.bench.judging import EXTRACT
from visreason.bench.kind import ALL, Bench, Given, Judging, Row, Rules
from visreason.record import Image, Problem, Score

EXTRACTED, RAW = " answer extracted", " answer raw"


def problem(row: Row) -> Problem:
    """A row of data/dataset.json, or of a result table, which has `true answer` and `reasoning skill` as lists."""
    if row.get("true answer") is None:
        need(row, "imagename", "image", "question")  # an answer file calls the response "answer"
    # Problem v1_382 has neither question nor answer; it is one of the 448 all the same.
    gold = ", ".join(sorted(letters(str(row.get("true answer", "answer") or ""))))
    skills = row.get("reasoning skill", "skill")
    meta = {"skill": options(row, "reasoning skill", "skill") if skills else (),
            "capability": options(row, "capability", "broad_capability")}  # fmt: skip
    name = row.get("imagename")
    images = (Image(f"images/{name}"),) if name else tuple(Image(str(p)) for p in [row.get("image")] if p)
    return Problem(identity(row), str(row.get("question") or "See the picture."), images, gold, meta=meta)


def given(row: Row) -> Given | None:
    if (
        isinstance(row.value, dict)
        and "answer" in row.value
        and row.get("imagename", "question", "true answer") is None
    ):
        return Given(identity(row), response=str(row.value["answer"]))
    names = list(row.value) if isinstance(row.value, dict) else []
    extracted = next((n for n in names if n.endswith(EXTRACTED)), None)
    if extracted is None:
        return given_by_columns(row)
    raw = next((n for n in names if n.endswith(RAW)), "")
    return Given(identity(row), row.value.get(raw), row.value[extracted], verdict(row))


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """All letters and no others."""
    found = sorted(letters(extraction))
    right = bool(found) and ", ".join(found) == problem.answer
    return Score(1.0, ", ".join(found), "set") if right else Score(0.0, ", ".join(found) or None, "wrong")


def letters(text: str) -> list[str]:
    """Upper-case letters of a list as their tables write it, or of a text as `A, C`.

    >>> letters("['a', 'c']"), letters("B, D"), letters("['ZZZZZ']")
    (['A', 'C'], ['B', 'D'], ['ZZZZZ'])
    """
    try:
        found = ast.literal_eval(text) if text.startswith("[") else re.split(r"[,\s]+", text)
    except (ValueError, SyntaxError):
        found = [text]
    return [str(x).strip().upper() for x in found if str(x).strip()]


def read_letters(problem: Problem, said: str) -> str | None:
    """Letters and nothing else (VLMEvalKit, utils/logicvista.py)."""
    found = re.sub(r"(?i)^\s*extracted answer:|[\s,()'\[\].]", "", said)
    return ", ".join(found.upper()) if re.fullmatch(r"[A-Za-z]{1,6}", found) else None


def columns(problem: Problem) -> list[str]:
    return [*problem.meta.get("skill", ()), *problem.meta.get("capability", ())]


BENCH = Bench(
    name="logicvista",
    title="LogicVista",
    source="Yijia-Xiao/LogicVista@e5795f17",
    sizes={"test": 448},
    files={"test": ("data/dataset.json", "LogicVista.tsv")},
    outputs="eval/results/*.csv*",
    headline=(ALL, "inductive", "deductive", "numerical", "spatial", "mechanical"),
    problem=problem,
    given=given,
    score=score,
    columns=columns,
    judging=Judging(EXTRACT, read_letters),
)
