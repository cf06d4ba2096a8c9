"""Reading problems: every row by the format that its columns show, and a list of those that can't be used."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visreason.answer import check
from visreason.data.columns import flat_problem, flat_sample, is_record
from visreason.data.files import read_rows
from visreason.data.pictures import Pictures, Verify
from visreason.errors import DataError
from visreason.prompt import STYLES, messages
from visreason.record import Problem, Sample, from_json


@dataclass(frozen=True)
class Format:
    """A kind of row: how its columns tell it, and how it is read ((row, an id if it has none) -> Problem)."""

    name: str
    matches: Callable[[dict[str, Any]], bool]
    read: Callable[[dict[str, Any], str], Problem]


SAMPLE = Format(
    "sample",
    lambda row: isinstance(row.get("problem"), dict) and "completion" in row,
    lambda row, _: from_json(Sample, row).problem,
)
FORMATS: tuple[Format, ...] = (
    SAMPLE,
    Format("problem", is_record, lambda row, _: from_json(Problem, row)),
    Format("flat", lambda row: True, flat_problem),
)
"""The first that matches reads the row."""


def read_problems(
    path: Path, rejected: list[dict[str, Any]], need_answer: bool = False, verify: Verify = "pixels"
) -> list[Problem]:
    """The problems of a .jsonl or .json file (or either with .gz), ready to be asked: images found and checked.

    Rows are our Problem or Sample records, or flat rows with a question (or problem) and whatever of id, choices
    (options), answer (gold, solution), images (image, image_path) they have; further columns go to `meta`.
    A row that can't be used goes to `rejected` as {"line", "reason", "row"}: unreadable, without a question, with an
    id seen before, an image that is missing or broken, or a question that can't be put to a model; with `need_answer`
    also without an answer, with one that fails its own check, or with a check that rules can't do.
    Raises DataError when the file can't be read and when no problem is left.
    """
    problems: dict[str, Problem] = {}
    for line, row, problem in read_usable(path, rejected, need_answer, verify):
        if "completion" in row and problems.get(problem.id) == problem:
            continue  # another sample of a problem that is already there
        if problem.id in problems:
            reason = f"expected ids that differ, found {problem.id!r} a second time"
            rejected.append({"line": line, "reason": reason, "row": row})
        else:
            problems[problem.id] = problem
    if not problems:
        why = f"{len(rejected)} rejected rows; the first: {rejected[0]['reason']}" if rejected else "no rows"
        raise DataError(f"expected problems in {path}, found {why}")
    return list(problems.values())


def read_usable(
    path: Path, rejected: list[dict[str, Any]], need_answer: bool = False, verify: Verify = "pixels"
) -> Iterator[tuple[int, dict[str, Any], Problem]]:
    """Line, row and problem of every row that can be asked; ids may repeat, as they do where rows are samples."""
    path = Path(path)
    pictures = Pictures(path.parent, verify)
    for line, row in read_rows(path, rejected):
        try:
            problem = usable(_problem(row, f"{path.name.split('.')[0]}-{line}"), pictures, need_answer)
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})
            continue
        yield line, row, problem


def read_samples(path: Path, rejected: list[dict[str, Any]]) -> Iterator[Sample]:
    """The samples of a file, to be scored: our Sample records, or flat rows with a response (see `columns`).

    Images are not opened; their paths are taken from the file's folder. What can't be read goes to `rejected`, and what
    has the id of another problem: samples are grouped by it.
    """
    path = Path(path)
    known: dict[str, tuple] = {}
    for line, row in read_rows(path, rejected):
        try:
            own = SAMPLE.matches(row)
            sample = from_json(Sample, row) if own else flat_sample(row, f"{path.name.split('.')[0]}-{line}")
            p = sample.problem
            asked = (p.question, p.choices, p.answer, tuple(i.path for i in p.images))
            if known.setdefault(p.id, asked) != asked:
                raise DataError(f"expected another problem to have another id, found {p.id!r} again")
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})
            continue
        images = tuple(replace(i, path=str(path.parent / i.path)) for i in sample.problem.images)
        yield replace(sample, problem=replace(sample.problem, images=images))


def _problem(row: dict[str, Any], fallback_id: str) -> Problem:
    return next(f for f in FORMATS if f.matches(row)).read(row, fallback_id)


def usable(problem: Problem, pictures: Pictures, need_answer: bool = False) -> Problem:
    """The problem with its images described. Raises DataError when it can't be asked, and with `need_answer` when its
    answer can't be given."""
    if not problem.question.strip():
        raise DataError("expected a question, found an empty one")
    problem = replace(problem, images=tuple(pictures.resolve(i) for i in problem.images))
    messages(problem, STYLES["direct"])
    if need_answer and not check(problem, problem.answer or "").correct:
        raise DataError(
            f"expected an answer that is right by its own check, found {problem.answer!r}; rewrite it"
        )
    return problem


def has_meta(problem: Problem, where: dict[str, str | int]) -> bool:
    """Whether the problem's meta has all these values; numbers and their digits are the same.

    >>> has_meta(Problem("p", "1+1?", meta={"level": 1}), {"level": "1"})
    True
    """
    return all(str(problem.meta.get(name)) == str(value) for name, value in where.items())
