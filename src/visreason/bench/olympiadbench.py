"""OlympiadBench, open-ended problems. Source: OpenBMB/OlympiadBench@ba5b26a7, inference/judge.py, eval/."""

import re
from typing import Any

from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import identity, need, pictures
from visreason.bench.figures import by_column
from visreason.bench.judging import EXTRACT, reply
from visreason.bench.kind import ALL, Bench, Given, Judging, Row, Rules
from visreason.bench.olympiadbench_answer import ERROR, find_answer, same, stated
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
SIZES = {
    "OE_TO_maths_en_COMP": 674, "OE_MM_maths_en_COMP": 150, "OE_TO_physics_en_COMP": 236, "OE_MM_physics_en_COMP": 456,
    "OE_TO_maths_zh_COMP": 408, "OE_MM_maths_zh_COMP": 56, "OE_TO_maths_zh_CEE": 1240, "OE_MM_maths_zh_CEE": 1910,
    "OE_TO_physics_zh_CEE": 115, "OE_MM_physics_zh_CEE": 1483,
}  # fmt: skip
"""Text or multimodal, maths or physics, English or Chinese, competition or entrance examination."""


def problem(row: Row) -> Problem | None:
    """A problem with a final answer; proofs have none and are not scored. Its split is told by column or file name."""
    kind = str(row.get("question_type", "answer_type"))
    if row.get("final_answer") is None and kind.startswith(("Theorem", "TP")):
        return None
    question, found = need(row, "question"), row.get("final_answer", "answer")
    gold = str(found[0]) if isinstance(found, list) else re.sub(r"^\['|'\]$", "", str(found))
    context = f"{row.get('context')}\n" if row.get("context") else ""
    names = (str(row.get("source")), row.file.name.partition(".")[0])
    _, modality, subject, language, _ = next((n for n in names if n in SIZES), "____").split("_")
    chinese = row.get("language") == "Chinese" or re.search(r"[\u4e00-\u9fff]", question)
    meta: dict[str, Any] = {
        "answer_type": row.get("answer_type"), "unit": row.get("unit"), "subfield": row.get("subfield"),
        "multiple": row.get("is_multiple_answer"), "language": language or ("zh" if chinese else "en"),
        "subject": row.get("subject", "category") or subject or None,
        "modality": modality or ("MM" if pictures(row, "image", "images") else "TO"), "rules": {"times_100": True},
    }  # fmt: skip
    if (error := str(row.get("error") or "nan")) != "nan":  # tables write so where there is none
        _errors(error)
        meta["error"] = error
    return Problem(
        identity(row), context + question, pictures(row, "image", "images"), gold,
        meta={k: v for k, v in meta.items() if v is not None},
    )  # fmt: skip


def given(row: Row) -> Given | None:
    """A response by its column, or in the authors' files inside `model_output`, under the model's name."""
    said = row.value.get("model_output") if isinstance(row.value, dict) else None
    if not isinstance(said, dict):
        return given_by_columns(row)
    if len(said) != 1:
        raise DataError(f"{row.where}: expected the output of one model, found {', '.join(said) or 'none'}")
    found = next(iter(said.values()))
    return Given(identity(row), str(found["raw_output"]), found.get("answer"), found.get("correctness"))


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """Equal part by part, each within its own error."""
    errors = _errors(str(problem.meta.get("error", "")))
    tuples = "Tuple" in str(problem.meta.get("answer_type"))
    rule = same(problem.answer or "", extraction, () if tuples else errors)
    shown = stated(extraction)[-200:]
    return Score(1.0, shown, rule) if rule else Score(0.0, shown, "wrong")


def _errors(text: str) -> list[float]:
    """The allowed errors of a problem, one or one for each part."""
    try:
        return [float(e or ERROR) for e in text.split(",")]
    except ValueError as e:
        raise DataError(
            f"expected an error as a number, or several with commas between, found {text!r}"
        ) from e


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    """What follows the last "So the final answer is"; the whole response where that is missing."""
    return None if unfinished(response) else find_answer(response)


def unfinished(response: str) -> bool:
    """Whether a model gave no answer at all, by the marks that the authors' runs left."""
    failed = "code:" in response and "message:" in response
    return failed or response.strip() in ("", "<Inappropriate content in response>", "<No response>")


def columns(problem: Problem) -> list[str]:
    meta = problem.meta
    place = f"{meta.get('modality')} {meta.get('language')}"
    return [place, *(str(meta[k]) for k in ("language", "subject", "subfield", "answer_type") if meta.get(k))]


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """ALL counts every problem; `finished` leaves out those without any answer, as the authors' accuracy does."""
    made = [s for s in samples if not unfinished(s.completion.text) and s.score.reason != "errored"]
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
    sizes=SIZES,
    files={name: (f"**/{name}.json*", f"**/{name}.parquet", f"*{name}.json*") for name in SIZES},
    headline=(ALL, "finished", "TO en", "MM en", "TO zh", "MM zh"),
    problem=problem,
    given=given,
    read=read,
    score=score,
    columns=columns,
    aggregate=aggregate,
    prompt=prompt,
    judging=Judging(EXTRACT, reply),
)
