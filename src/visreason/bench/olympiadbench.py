"""OlympiadBench, open-ended problems. Source: OpenBMB/OlympiadBench@ba5b26a7, inference/judge.py, eval/."""

import re
from dataclasses import replace
from typing import Any

from visreason.answer import check
from visreason.bench.columns import given, identity, need, pictures
from visreason.bench.figures import by_column
from visreason.bench.judging import EXTRACT, VERDICT, reply
from visreason.bench.kind import ALL, Bench, Judging, Row, Rules
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval

KINDS = {
    "Numerical": ("a numerical value", "multiple numerical values", "数值"),
    "Expression": ("an expression", "multiple expressions", "表达式"),
    "Equation": ("an equation", "multiple equations", "方程"),
    "Interval": ("an interval", "multiple intervals", "区间"),
}
PLUS = re.compile(r"(\A|=)\s*\+")
"""A sign that says nothing."""
PHRASE = re.compile(r"(?:So the final answer is|所以最终答案是)(.*)")
SPLITS = tuple(
    f"OE_{kind}_{subject}_{language}_{exam}"
    for language, exams in (("en", ("COMP",)), ("zh", ("COMP", "CEE")))
    for exam in exams
    for subject in ("maths", "physics")
    for kind in ("TO", "MM")
    if (language, exam, subject, kind) != ("zh", "COMP", "physics", "TO")
    and (language, exam, subject, kind) != ("zh", "COMP", "physics", "MM")
)
"""Text or multimodal, maths or physics, English or Chinese, competition or entrance examination."""


def problem(row: Row) -> Problem | None:
    """A problem with a final answer; proofs (is_multiple_answer and final_answer missing) are not scored."""
    if row.get("final_answer") is None and str(row.get("question_type", "answer_type")).startswith("Theorem"):
        return None
    question, found = need(row, "question"), row.get("final_answer", "answer")
    one = re.sub(r"^\['|'\]$", "", need(row, "final_answer", "answer"))
    golds = [str(g) for g in found] if isinstance(found, list) else [one]
    context = f"{row.get('context')}\n" if row.get("context") else ""
    language = "zh" if row.get("language") == "Chinese" or re.search(r"[\u4e00-\u9fff]", question) else "en"
    meta: dict[str, Any] = {
        "answer_type": row.get("answer_type"), "unit": row.get("unit"), "subfield": row.get("subfield"),
        "multiple": row.get("is_multiple_answer"), "language": language, "subject": row.get("subject", "category"),
        "modality": "MM" if pictures(row, "image", "images") else "TO", "rules": {"times_100": True},
    }  # fmt: skip
    if error := row.get("error"):
        meta["error"] = str(error)
    return Problem(
        identity(row), context + question, pictures(row, "image", "images"), ", ".join(golds),
        meta={k: v for k, v in meta.items() if v is not None},
    )  # fmt: skip


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """Equal up to the problem's error, where each part of the answer may have its own."""
    gold = replace(problem, answer=PLUS.sub(r"\1", problem.answer or ""))
    return check(_with_error(gold), PLUS.sub(r"\1", extraction))


def read(problem: Problem, response: str, rules: Rules) -> str:
    """What follows the last "So the final answer is"; the whole response where that is missing."""
    found = PHRASE.findall(response)
    return found[-1].strip() if found else response


def _with_error(problem: Problem) -> Problem:
    """With errors for several parts the largest holds for all (the authors give each part its own)."""
    errors = [float(e) for e in str(problem.meta.get("error", "")).split(",") if e.strip()]
    if len(errors) < 2:
        return problem
    return replace(problem, meta={**problem.meta, "error": str(max(errors))})


def columns(problem: Problem) -> list[str]:
    meta = problem.meta
    place = f"{meta.get('modality')} {meta.get('language')}"
    return [place, *(str(meta[k]) for k in ("language", "subject", "subfield", "answer_type") if meta.get(k))]


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """ALL counts every problem; `finished` leaves out those without any answer, as the authors' accuracy does."""
    made = [s for s in samples if s.completion.text.strip() and s.score.reason != "errored"]
    if not samples:
        raise DataError("expected samples, found none")
    return {**by_column(samples, columns), **({"finished": by_column(made, columns)[ALL]} if made else {})}


def prompt(problem: Problem) -> Style:
    meta = problem.meta
    kind = KINDS.get(str(meta.get("answer_type")))
    several = bool(meta.get("multiple"))
    box = "\\boxed{multiple answers connected with commas}" if several else "\\boxed{answer}"
    unit = "(unit)" if meta.get("unit") else ""
    if meta.get("language") == "zh":
        asked = f"答案类型为{kind[2]}。" if kind else ""
        user = (
            f"请解答下面的竞赛题。{asked}请用LaTeX书写，最后写出“所以最终答案是{box}{unit}。”\n{{question}}"
        )
    else:
        asked = f" The answer should be {kind[several]}." if kind else ""
        inside = " The unit must not stand inside \\boxed{}." if unit else ""
        user = (
            f"Solve this competition problem.{asked} End your solution with "
            f'"So the final answer is {box}{unit}."{inside}\n{{question}}'
        )
    return Style("olympiadbench", None, user, write_plain, parse_plain)


BENCH = Bench(
    name="olympiadbench",
    title="OlympiadBench",
    source="OpenBMB/OlympiadBench@ba5b26a7",
    sizes={**dict.fromkeys(SPLITS, 0), "OE_TO_maths_en_COMP": 675},
    files={name: (f"**/{name}.json*", f"**/{name}.parquet", f"*{name}.json*") for name in SPLITS},
    headline=(ALL, "finished", "TO en", "MM en", "TO zh", "MM zh"),
    problem=problem,
    given=given,
    read=read,
    score=score,
    columns=columns,
    aggregate=aggregate,
    prompt=prompt,
    judging=Judging(EXTRACT, reply, VERDICT),
)
