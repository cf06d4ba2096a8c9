"""A row with columns of its own names as a Problem: question, choices, answer, images; the rest goes to `meta`."""

import ast
import re
from dataclasses import fields
from typing import Any, get_args

from visreason.errors import DataError
from visreason.record import Check, Completion, Finish, Image, Problem, Sample, Score

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "pid", "question_id"),
    "question": ("question", "problem"),
    "choices": ("choices", "options"),
    "answer": ("answer", "gold", "solution"),
    "images": ("images", "image", "image_path"),
    "check": ("check",),
    "description": ("description",),
    "thought": ("thought", "refined_cot", "solution"),
}
"""Names of a Problem's fields in other people's rows: the first that is not empty wins, and a column is used once."""
RESPONSES = ("response", "pred")
"""Columns of a flat row that hold what a model answered, the first that is there."""
EMPTY: tuple[Any, ...] = (None, "", [], {})


def flat_problem(row: dict[str, Any], fallback_id: str) -> Problem:
    """The problem of a flat row. Raises DataError for a missing question and for values of the wrong type.

    >>> flat_problem({"problem": "1+1?", "solution": "<answer> 2 </answer>", "level": 1}, "row-1")
    Problem(id='row-1', question='1+1?', images=(), answer='2', choices=(), check='auto', ..., meta={'level': 1})
    """
    used: dict[str, str] = {}
    for field, names in COLUMNS.items():
        name = next((n for n in names if row.get(n) not in EMPTY and n not in used.values()), None)
        if name is not None:
            used[field] = name
    value = {field: row[name] for field, name in used.items()}
    if "question" not in value:
        raise DataError(
            f"expected a question in column question or problem, found the columns {', '.join(row)}"
        )
    gold = value.get("answer")
    accepted = (
        {"accepted": [_text(g, "answer") for g in gold]} if isinstance(gold, list) and len(gold) > 1 else {}
    )
    meta = {k: v for k, v in row.items() if k not in used.values() and k != "meta" and v not in EMPTY}
    return Problem(
        id=_text(value.get("id", fallback_id), "id"),
        question=_string(value["question"], "question"),
        images=_images(value.get("images", [])),
        answer=_answer(value["answer"]) if "answer" in value else None,
        choices=_choices(value.get("choices", [])),
        check=_check(value.get("check", "auto")),
        description=_string(value["description"], "description") if "description" in value else None,
        thought=_string(value["thought"], "thought") if "thought" in value else None,
        meta={**(row["meta"] if isinstance(row.get("meta"), dict) else {}), **meta, **accepted},
    )


def flat_sample(row: dict[str, Any], fallback_id: str) -> Sample:
    """The sample of a flat row with a response; its question may be missing, since it was put already.

    >>> flat_sample({"gold": 4, "pred": "It is 4.", "kind": "sum"}, "row-1").completion.text
    'It is 4.'
    """
    name = next((n for n in RESPONSES if n in row), None)
    if name is None:
        raise DataError(
            f"expected a response in column {' or '.join(RESPONSES)}, found the columns {', '.join(row)}"
        )
    text = row[name] if row[name] is not None else ""
    problem = flat_problem({**({} if _asked(row) else {"question": " "}), **_without(row, name)}, fallback_id)
    finish = row.get("finish", "stop")
    if finish not in get_args(Finish):
        raise DataError(f"expected one of {', '.join(get_args(Finish))} in column finish, found {finish!r}")
    return Sample(problem, Completion(_text(text, name), finish), Score(0.0))


def _asked(row: dict[str, Any]) -> bool:
    return any(row.get(name) not in EMPTY for name in COLUMNS["question"])


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != name}


def is_record(row: dict[str, Any]) -> bool:
    """Whether a row is a Problem as this package writes it."""
    pictures = row.get("images", [])
    objects = isinstance(pictures, list) and all(isinstance(i, dict) for i in pictures)
    texts = isinstance(row.get("id"), str) and isinstance(row.get("answer"), str | None)
    return texts and objects and {"id", "question"} <= row.keys() <= {f.name for f in fields(Problem)}


def _check(value: Any) -> Check:
    if value not in get_args(Check):
        raise DataError(
            f"expected one of {', '.join(get_args(Check))} in column check, found {str(value)[:80]!r}"
        )
    return value


def _string(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise DataError(
            f"expected text in column {column}, found {type(value).__name__}: {str(value)[:80]!r}"
        )
    return value


def _text(value: Any, column: str) -> str:
    """Text, or a number as it is written."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"expected text or a number in column {column}, found {str(value)[:80]!r}")
    return str(value)


def _answer(value: Any) -> str:
    """An answer: text without its <answer> tags, a number, or the first of a list, all of which are accepted."""
    if isinstance(value, list) and value:
        value = value[0]
    text = _text(value, "answer")
    tagged = re.fullmatch(r"\s*<answer>(.*)</answer>\s*", text, re.DOTALL)
    return tagged.group(1).strip() if tagged else text


def _choices(value: Any) -> tuple[str, ...]:
    """Option texts: a list, an object by letters, or either of them written as text."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError) as e:
            raise DataError(f"expected a list of choices, found the text {value[:80]!r}") from e
    if isinstance(value, dict):
        value = [value[k] for k in sorted(value)]
    if not isinstance(value, list):
        raise DataError(f"expected a list of choices, found {type(value).__name__}: {str(value)[:80]!r}")
    return tuple(_text(v, "choices") for v in value)


def _images(value: Any) -> tuple[Image, ...]:
    paths = value if isinstance(value, list) else [value]
    return tuple(Image(_string(p, "image")) for p in paths if p not in EMPTY)
