"""Columns that published rows call by many names: ids, questions, options, answers, pictures, responses."""

import ast
import json
import math
from typing import Any, get_args

from visreason.bench.kind import Given, Row
from visreason.errors import DataError
from visreason.record import Finish, Image, Sample, Score, from_json
from visreason.reward import agreement

IDS = ("id", "pid", "index", "question_id", "sample_index", "idx", "problem_index", "ID")
QUESTIONS = ("question", "query", "problem")
RESPONSES = ("response", "prediction", "model_output", "output", "pred", "completion", "text")
EXTRACTIONS = (
    "extraction",
    "model_answer",
    "pred_indexs",
    "extracted_answer",
    "extracted",
    "extract",
    "res",
    "pred",
)
VERDICTS = (
    "true_false",
    "correct",
    "if_right",
    "is_correct",
    "judged",
    "hit",
    "match?",
    "score",
    "judgement",
)
REWARDS = ("reward", "pred_score")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def identity(row: Row) -> str:
    """The row's id: its own, the key it stands under, or its line."""
    found = row.get(*IDS)
    return str(found) if found is not None else row.key or str(row.line)


def is_numbered(row: Row) -> bool:
    """Whether a row has no id but its line."""
    return not row.key and row.get(*IDS) is None


def need(row: Row, *names: str) -> str:
    """A column that must be there, as text. Raises DataError that names the columns there are."""
    found = row.get(*names)
    if found is None:
        there = ", ".join(row.value) if isinstance(row.value, dict) else type(row.value).__name__
        raise DataError(f"{row.where}: expected a column {' or '.join(names)}, found {there or 'none'}")
    return str(found)


def options(row: Row, *names: str) -> tuple[str, ...]:
    """Option texts: a list, an object by letters, either written as text, or columns A, B, C ... (VLMEvalKit)."""
    found = row.get(*(names or ("choices", "options", "index2ans")))
    if isinstance(found, str):
        found = _literal(found, row)
    if isinstance(found, dict):
        # Tables fill in the letters that other rows have; of numbers 10 comes after 9.
        found = [found[k] for k in sorted(found, key=lambda k: (len(str(k)), str(k))) if found[k] is not None]
    if isinstance(found, list) and len(found) == 1 and str(found[0])[:1] == "[":
        found = _literal(str(found[0]), row)
    if isinstance(found, list | tuple):
        return tuple(map(str, found))
    lettered: list[str] = []
    for letter in LETTERS:
        text = row.get(letter)
        if text is None or str(text) == "nan":
            break
        lettered.append(str(text))
    return tuple(lettered)


def listed(row: Row, *names: str) -> Any:
    """A list or object in the first of these columns that is there; also one written as text, as in tables."""
    found = row.get(*names)
    return _literal(found, row) if isinstance(found, str) and found[:1] in ("[", "{") else found


def pictures(row: Row, *names: str, folder: str = "") -> tuple[Image, ...]:
    """The row's pictures: one or a list in a column, or columns image_1, image_2 ... as MMMU has."""
    found = row.get(*(names or ("images", "image", "image_path")))
    if found is None:
        found = [p for i in range(1, 11) if (p := row.get(f"image_{i}")) is not None]
    paths = found if isinstance(found, list) else [found]
    return tuple(Image(f"{folder}{path}") for path in paths)


def given(row: Row) -> Given | None:
    """A released output by its columns; a row that is a text alone is an extraction (MMMU's answer files)."""
    if isinstance(row.value, str):
        return Given(identity(row), extraction=row.value)
    if not isinstance(row.value, dict):
        raise DataError(f"{row.where}: expected an object or a text, found {type(row.value).__name__}")
    if isinstance(row.value.get("problem"), dict) and "completion" in row.value:
        return own(row)
    said = next((n for n in RESPONSES if n in row.value), "")
    answered = text(row, said)
    if said and answered is None:  # a response that is none is not replaced by what a judge made of another
        answered = ""
    extracted = text(row, *(n for n in EXTRACTIONS if n != said))
    if answered is None and extracted is None:
        raise DataError(
            f"{row.where}: expected a response in column {', '.join(RESPONSES[:4])}, found {', '.join(row.value)}"
        )
    reward = row.get(*REWARDS)
    return Given(
        identity(row),
        answered,
        extracted,
        verdict(row),
        None if reward is None else number(row, reward, "a reward"),
        finish(row),
    )


def number(row: Row, value: Any, what: str) -> float:
    """A cell's number. Raises DataError for anything else: nothing can be compared with it."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if math.isnan(found):
        raise DataError(f"{row.where}: expected {what} as a number, found {value!r}")
    return found


def finish(row: Row) -> Finish:
    """How the output ended, where the row says so."""
    found = row.value.get("finish", "stop")
    if found not in get_args(Finish):
        raise DataError(f"{row.where}: expected finish among {', '.join(get_args(Finish))}, found {found!r}")
    return found


def own(row: Row) -> Given:
    """A sample of a run of visreason, without what that run made of it."""
    sample = from_json(Sample, row.value | {"score": {"value": 0.0}})
    return Given(sample.problem.id, sample.completion.text, finish=sample.completion.finish)


def text(row: Row, *names: str) -> str | None:
    """The first of these columns that is there, as text; an answer that is an object (a refused request) is empty."""
    name = next((n for n in names if n in row.value), None)
    found = row.value[name] if name else None
    if found is None:
        return None
    return "" if isinstance(found, dict) else str(found)


def verdict(row: Row) -> bool | None:
    """The verdict that a row carries, in whatever spelling."""
    found = row.get(*VERDICTS)
    return agreement.VERDICTS.get(str(found).lower()) if found is not None else None


def by_verdict(correct: bool) -> Score:
    """The score of a released verdict that nothing can be recomputed from."""
    return Score(1.0, None, "judged") if correct else Score(0.0, None, "wrong")


def _literal(written: str, row: Row) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(written)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise DataError(f"{row.where}: expected a list or an object, found {written[:80]!r}")
