"""MathVerse, testmini in six versions. Source: ZrrSkywalker/MathVerse@937b0905, evaluation/*_answer_s*.py."""

from dataclasses import replace

from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import identity, listed, need, options, pictures
from visreason.bench.figures import by_column, mean_of
from visreason.bench.judging import EXTRACT, VERDICT, reply
from visreason.bench.kind import ALL, Bench, Given, Judging, Published, Row, Rules
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval

WITH_PICTURE = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
TEXT_ONLY = "Text Only"


def problem(row: Row) -> Problem:
    metadata = listed(row, "metadata") or {}
    meta = {
        "version": row.get("problem_version") or metadata.get("problem_version"),
        "subject": row.get("subject") or metadata.get("subject", metadata.get("subjects")),
        "subfield": row.get("subfield") or metadata.get("subfield", metadata.get("subfields")),
        "question_type": row.get("question_type"),
    }
    question = (
        row.get("question_for_eval", "question") or "See the picture."
    )  # Vision Only shows it in the picture
    # The page that shows the data keeps its pictures in a folder of their own.
    folder = "../images/" if row.file.name.startswith("mv_data") else ""
    return Problem(
        _name(row), str(question), pictures(row, folder=folder), need(row, "answer"), options(row),
        meta={k: v for k, v in meta.items() if v},
    )  # fmt: skip


def given(row: Row) -> Given | None:
    found = given_by_columns(row)
    if found is None or "problem_version" not in row.value:
        return found
    response = row.get("response", "prediction", "model_answer")
    return replace(
        found, id=_name(row), response=str(response or ""), extraction=row.get("extraction", "extract")
    )


def _name(row: Row) -> str:
    """Text Only has numbers of its own, so the version belongs to the id."""
    own, version = row.get("problem_index"), row.get("problem_version")
    return f"{own}:{version}" if own is not None and version else identity(row)


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """The quick match: the same text. The authors' scoring proper asks a judge."""
    right = extraction.strip() == (problem.answer or "").strip()
    return Score(1.0, extraction, "exact") if right else Score(0.0, extraction, "wrong")


def columns(problem: Problem) -> list[str]:
    return [str(v) for k in ("version", "subject", "subfield") if (v := problem.meta.get(k))]


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """ALL is the mean of the five versions with a picture; Text Only stands apart."""
    found = by_column([s for s in samples if s.problem.meta.get("version") != TEXT_ONLY], columns) if any(
        s.problem.meta.get("version") != TEXT_ONLY for s in samples
    ) else {}  # fmt: skip
    alone = [s for s in samples if s.problem.meta.get("version") == TEXT_ONLY]
    versions = [(1.0, found[v]) for v in WITH_PICTURE if v in found]
    everything = {ALL: mean_of(versions)} if versions else by_column(samples, columns)
    return {**found, **everything, **({TEXT_ONLY: by_column(alone, columns)[ALL]} if alone else {})}


def prompt(problem: Problem) -> Style:
    """query_cot: reason first, then a letter or a value."""
    choice = problem.meta.get("question_type") == "multi-choice"
    letter, value = "the correct option letter, e.g., A, B, C, D", "the final value, e.g., 1, 2.5, 300"
    end = f"{letter if choice else value}, at the end"
    user = f"Please first conduct reasoning, and then answer the question and provide {end}.\nQuestion: {{question}}"
    return Style("mathverse", None, user, write_plain, parse_plain)


BOARD = "mathverse-cuhk.github.io@26d00ea2, without CoT-E"
BENCH = Bench(
    name="mathverse",
    title="MathVerse",
    source="ZrrSkywalker/MathVerse@937b0905",
    sizes={"testmini": 3940, "testmini_text_only": 788, "testmini_vision_only": 788},
    files={
        "testmini": (
            "data/testmini.json",
            "testmini.parquet",
            "MathVerse_MINI.tsv",
            "site/visualizer/data/mv_data_public.js",
        ),
        "testmini_text_only": (
            "data/testmini_text_only.json",
            "testmini_text_only.parquet",
            "MathVerse_MINI_Text_Only.tsv",
        ),
        "testmini_vision_only": ("MathVerse_MINI_Vision_Only.tsv",),
    },
    headline=(ALL, *WITH_PICTURE, TEXT_ONLY),
    problem=problem,
    given=given,
    score=score,
    columns=columns,
    aggregate=aggregate,
    prompt=prompt,
    judging=Judging(EXTRACT, reply, VERDICT),
    published=(
        Published("VL-Rethinker-72B", {"ALL": 61.7}, BOARD),
        Published("VL-Rethinker-7B", {"ALL": 54.2}, BOARD),
        Published("GPT-4V", {"ALL": 39.4, "Vision Only": 31.6, "Text Only": 48.7}, BOARD),
        Published("Qwen-VL-Max", {"ALL": 25.3}, BOARD),
    ),
)
