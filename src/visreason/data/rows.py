"""What a format of rows is, and what its readers and writers share."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from visreason.data.album import Album
from visreason.prompt import Style
from visreason.record import Pair, Problem, Sample

Row = dict[str, Any]
Rows = Problem | Sample | Pair
KEPT = "convert"
"""Name in `meta` of what a row's format said beyond the record."""


@dataclass(frozen=True)
class Schema:
    """A kind of row: how its columns tell it, how it is read ((row, id) -> records) and written ((records, album,
    style) -> row), which records it holds, and in which file."""

    matches: Callable[[Row], bool]
    read: Callable[[Row, str], list[Rows]]
    write: Callable[[list[Rows], Album, Style], Row]
    kinds: tuple[type, ...]
    suffix: str = ".jsonl"
    tags: dict[str, Any] | None = None
    """LLaMA-Factory's description of the file, where it reads it."""


def further(problem: Problem) -> Row:
    """What a problem's row says beyond its fields."""
    return {k: v for k, v in problem.meta.items() if k != KEPT}


def named_images(problem: Problem, album: Album) -> list[str]:
    """Paths of the pictures, from the output's folder."""
    return [album.named(i.path) for i in problem.images]


def problem_of(record: Rows) -> Problem:
    """The problem itself, or that of a sample or pair."""
    return record if isinstance(record, Problem) else record.problem


def with_problem(record: Rows, problem: Problem) -> Rows:
    """The record about another problem."""
    return problem if isinstance(record, Problem) else replace(record, problem=problem)


def target(record: Rows, style: Style) -> str | None:
    """What the assistant says: a sample's completion, or a problem's thought and answer in the style, if it has one."""
    if isinstance(record, Sample):
        return record.completion.text
    problem = problem_of(record)
    if problem.answer is None:
        return None
    return style.target(problem.thought or "", problem.answer)


def as_texts(row: Row) -> Row:
    """Values as tables hold them, whose columns have one type."""
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in row.items()}
