"""Reading problems and samples: every row by the format that its columns show, and a list of those that can't be used.

Pictures that a row itself holds are not read here: `visreason convert` writes them as files.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from visreason.data.album import COLUMNS
from visreason.data.columns import RESPONSES, flat_sample
from visreason.data.embedded import cells, held
from visreason.data.files import Paths, each, read_rows, shown
from visreason.data.pictures import Pictures, Seen, Verify, usable
from visreason.data.rows import Row, Rows, problem_of, with_problem
from visreason.data.schemas import read_as, schema_of
from visreason.errors import DataError
from visreason.record import Image, Problem, Sample


def read_problems(
    paths: Paths,
    rejected: list[dict[str, Any]],
    need_answer: bool = False,
    verify: Verify = "pixels",
    seen: Path | None = None,
) -> list[Problem]:
    """The problems of a data file, or of several in order, ready to be asked: images found and checked.

    Rows are of any format that `visreason convert` knows, told by their columns: our records; flat rows with a question
    (or problem) and whatever of id, choices (options), answer (gold, solution), images (image, image_path) they have,
    further columns go to `meta`; WeThink's, Virgo's, ShareGPT's, ... A row that can't be used goes to `rejected` as
    {"line", "reason", "row"}, of several files with "file": unreadable, without a question, with an id seen before, an
    image that is missing, broken or inside the row, a video or a sound, or a question that can't be put to a model;
    with `need_answer` also without an answer, with one that fails its own check, or with a check that rules can't do.
    Pictures that the file `seen` knows are not read again (`Seen`).
    Raises DataError when the file can't be read and when no problem is left.
    """
    problems: dict[str, Problem] = {}
    for line, row, record in read_usable(paths, rejected, need_answer, verify, seen):
        problem = problem_of(record)
        if not isinstance(record, Problem) and problems.get(problem.id) == problem:
            continue  # another sample of a problem that is already there
        if problem.id in problems:
            reason = f"expected ids that differ, found {problem.id!r} a second time"
            rejected.append({"line": line, "reason": reason, "row": row})
        else:
            problems[problem.id] = problem
    if not problems:
        why = f"{len(rejected)} rejected rows; the first: {rejected[0]['reason']}" if rejected else "no rows"
        raise DataError(f"expected problems in {shown(paths)}, found {why}")
    return list(problems.values())


def read_usable(
    paths: Paths,
    rejected: list[dict[str, Any]],
    need_answer: bool = False,
    verify: Verify = "pixels",
    seen: Path | None = None,
) -> Iterator[tuple[int, Row, Rows]]:
    """Line, row and records of every row that can be asked; ids may repeat, as they do where rows are samples."""
    with Seen(seen) as known:
        for path, name in each(paths, rejected):
            with Pictures(path.parent, verify, known) as pictures:
                rows = pictures.ahead(_lines(path, name, rejected), lambda found: _shown(found[2]))
                for line, row, records in rows:
                    try:
                        found = [
                            with_problem(r, usable(problem_of(r), pictures, need_answer)) for r in records
                        ]
                    except DataError as e:
                        rejected.append({"line": line, "reason": str(e), "row": row})
                        continue
                    yield from ((line, row, record) for record in found)


def _lines(path: Path, name: str, rejected: list[dict[str, Any]]) -> Iterator[tuple[int, Row, list[Rows]]]:
    """Line, row and records of every row that can be read, its pictures aside."""
    for line, row in read_rows(path, rejected):
        try:
            yield line, row, _records(row, f"{name}-{line}")
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})


def _shown(records: list[Rows]) -> list[Image]:
    return [image for record in records for image in problem_of(record).images]


def read_samples(path: Path, rejected: list[dict[str, Any]]) -> Iterator[Sample]:
    """The samples of a file, to be scored: our records, rows of formats that hold completions, or flat rows with a
    response (see `columns`).

    Images are not opened; their paths are taken from the file's folder. What can't be read goes to `rejected`, and what
    has the id of another problem: samples are grouped by it.
    """
    path = Path(path)
    known: dict[str, tuple] = {}
    for line, row in read_rows(path, rejected):
        try:
            samples = _samples(row, f"{path.name.split('.')[0]}-{line}")
            p = samples[0].problem
            asked = (p.question, p.choices, p.answer, tuple(i.path for i in p.images))
            if known.setdefault(p.id, asked) != asked:
                raise DataError(f"expected another problem to have another id, found {p.id!r} again")
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})
            continue
        for sample in samples:
            images = tuple(replace(i, path=str(path.parent / i.path)) for i in sample.problem.images)
            yield replace(sample, problem=replace(sample.problem, images=images))


def _records(row: Row, fallback_id: str) -> list[Rows]:
    """Raises DataError for a picture inside the row."""
    for column in COLUMNS:
        if any(held(v) is not None for v in cells(row.get(column))):
            raise DataError(
                f"expected images as files, found one inside the row, in column {column}; `visreason convert "
                "data=FILE to=sample` (or to=problem) writes it beside the records"
            )
    return read_as(schema_of(row), row, fallback_id)


def _samples(row: Row, fallback_id: str) -> list[Sample]:
    name = schema_of(row)
    if name == "flat" or any(isinstance(row.get(n), str) for n in RESPONSES):
        return [flat_sample(row, fallback_id)]
    found = _records(row, fallback_id)
    samples = [r for r in found if isinstance(r, Sample)]
    if len(samples) < len(found):
        raise DataError(f"expected a completion to score, found none in a row of format {name}")
    return samples


def has_meta(problem: Problem, where: dict[str, str | int]) -> bool:
    """Whether the problem's meta has all these values; numbers and their digits are the same.

    >>> has_meta(Problem("p", "1+1?", meta={"level": 1}), {"level": "1"})
    True
    """
    return all(str(problem.meta.get(name)) == str(value) for name, value in where.items())
