"""Rows of one format into records and into rows of another, streamed. Both ways are exact (see `exact`).

What a row says beyond a record stays in `meta.convert`, by its format; what a record says beyond a row, in the column
`visreason`. Pictures are copied, named by content, so paths are the one thing that changes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from visreason.data.album import Album
from visreason.data.exact import apply, patch, same
from visreason.data.files import Sink, read_rows
from visreason.data.rows import KEPT, Row, Rows, problem_of, with_problem
from visreason.data.schemas import OWN, SCHEMAS, read_as, schema_of
from visreason.errors import DataError
from visreason.prompt import STYLES, Style, messages
from visreason.record import Pair, Problem, Sample, from_json, to_json
from visreason.store import record_row

BESIDE = "visreason"
TABLES = ("r1_onevision", "vlmevalkit")
"""Formats whose rows all have the same columns, so that an empty one says nothing."""


def records_of(
    path: Path, album: Album, rejected: Sink, name: str | None = None, after: int = 0
) -> Iterator[tuple[int, list[Rows]]]:
    """Line and records of every row behind line `after`, by its own format or all by the one named; no records of a row
    that can't be used, which goes to `rejected`."""
    for line, row in read_rows(path, rejected):
        if line <= after:
            album.remember(row)
            continue
        try:
            yield line, read_row(row, f"{path.name.split('.')[0]}-{line}", album, name or schema_of(row))
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})
            yield line, []


def groups_of(lines: Iterable[tuple[int, list[Rows]]], name: str) -> Iterator[tuple[int, list[list[Rows]]]]:
    """The records that make a row of a format, with the last line they came from: one each, for Virgo's those of a
    problem that follow one another."""
    if name != "virgo":
        yield from ((line, [[r] for r in records]) for line, records in lines)
        return
    last, group = 0, []
    for line, records in lines:
        if group and records and _subject(records[0]) != _subject(group[0]):
            yield last, [group]
            group = []
        last, group = line, [*group, *records]
        if not group:
            yield last, []
    if group:
        yield last, [group]


def _subject(record: Rows) -> tuple[type, str]:
    return type(record), problem_of(record).id


def read_row(row: Row, fallback_id: str, album: Album, name: str) -> list[Rows]:
    """The records of a row, its pictures in the album. Raises DataError when it can't be used."""
    records, again = _read(row, fallback_id, album, name)
    if name in OWN:
        return records
    bare = SCHEMAS[name].write([_without_kept(r) for r in records], album, STYLES["direct"])
    if not same(_patched(bare, records, name), again):
        change = patch(bare, again)
        records = [_with_kept(r, {**_kept(r), name: change}) for r in records]
    return records


def _read(row: Row, fallback_id: str, album: Album, name: str) -> tuple[list[Rows], Row]:
    """The records, and the row as it should be written again."""
    beside = row.get(BESIDE)
    row = {k: v for k, v in row.items() if k != BESIDE and not (name in TABLES and v in ("", None))}
    found, again = (row, row) if name in OWN else album.absorb(row)
    records = [_with_images(r, album, name) for r in read_as(name, found, fallback_id)]
    return (_restored(records, beside, album) if isinstance(beside, str) else records), again


def write_row(records: list[Rows], name: str, album: Album, style: Style) -> Row:
    """The row of records (one; several of a problem for Virgo's). Raises DataError when the format has no place."""
    schema = SCHEMAS[name]
    if not isinstance(records[0], schema.kinds):
        kinds = " or ".join(k.__name__ for k in schema.kinds)
        raise DataError(
            f"expected a {kinds} for format {name}, found a {type(records[0]).__name__}; choose another with to="
        )
    if name in OWN:
        return record_row(records[0], album.out)
    bare = [_without_kept(r) for r in records]
    row = _patched(schema.write(bare, album, style), records, name)
    meant = [
        _form(_with_kept(r, {n: change for n, change in _kept(r).items() if n != name}), album)
        for r in records
    ]
    try:
        back = [_form(r, album) for r in _read(row, problem_of(records[0]).id, album.written, name)[0]]
    except DataError:
        back = []
    if not same(back, meant):
        back += [{}] * (len(meant) - len(back))
        changes = [patch(b, m) for b, m in zip(back, meant, strict=False)]
        row[BESIDE] = json.dumps(changes, ensure_ascii=False, default=str)
    return row


def _kept(record: Rows) -> dict[str, Any]:
    """What rows of each format said beyond the record."""
    found = problem_of(record).meta.get(KEPT)
    return found if isinstance(found, dict) else {}


def _with_kept(record: Rows, kept: dict[str, Any]) -> Rows:
    problem = problem_of(_without_kept(record))
    meta = {**problem.meta, **({KEPT: kept} if kept else {})}
    return with_problem(record, replace(problem, meta=meta))


def _without_kept(record: Rows) -> Rows:
    problem = problem_of(record)
    meta = {k: v for k, v in problem.meta.items() if k != KEPT}
    return with_problem(record, replace(problem, meta=meta))


def _with_images(record: Rows, album: Album, name: str) -> Rows:
    """The record with its pictures described; checked that it can be asked."""
    problem = problem_of(record)
    paths = [album.take(i.path) if name in OWN else i.path for i in problem.images]
    problem = replace(problem, images=tuple(map(album.record, paths)))
    if not problem.question.strip():
        raise DataError("expected a question, found an empty one")
    messages(problem, STYLES["direct"])
    return with_problem(record, problem)


def _patched(row: Row, records: list[Rows], name: str) -> Row:
    return apply(row, _kept(records[0]).get(name, {}))


def _form(record: Rows, album: Album) -> dict[str, Any]:
    """A record as one flat object: its problem's fields, and those beside the problem."""
    row = record_row(record, album.out)
    return {**row.pop("problem"), **row} if not isinstance(record, Problem) else row


def _restored(records: list[Rows], beside: str, album: Album) -> list[Rows]:
    """Records with what the format could not hold. Raises DataError when the column says nothing of the kind."""
    try:
        changes = json.loads(beside)
        forms = [_form(r, album) for r in records]
        forms += [{}] * (len(changes) - len(forms))
        return [_record(apply(f, c), album) for f, c in zip(forms, changes, strict=True)]
    except (ValueError, TypeError, AttributeError) as e:
        raise DataError(
            f"expected what `convert` wrote in column {BESIDE}, found {beside[:80]!r} ({e})"
        ) from e


def _record(form: dict[str, Any], album: Album) -> Rows:
    own = {k: v for k, v in form.items() if k not in ("completion", "score", "chosen", "rejected", "margin")}
    problem = from_json(Problem, own)
    problem = replace(problem, images=tuple(album.own(i) for i in problem.images))
    rest = {k: v for k, v in form.items() if k not in own}
    if not rest:
        return problem
    whole = {**rest, "problem": to_json(Problem("", ""))}
    return with_problem(from_json(Pair, whole) if "chosen" in rest else from_json(Sample, whole), problem)
