"""Files of JSON: records line by line, whole objects, and their hashes."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from visreason.errors import DataError, RunError
from visreason.record import Image, Pair, Problem, R, Record, Sample, from_json, to_json


def read_rows(path: Path, growing: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line of a JSONL file. Raises DataError for a line that is not an object.

    In a `growing` file a last line without its newline is still being written, and left out.
    """
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or (growing and not line.endswith(b"\n")):
                continue
            try:
                row = json.loads(line)
            except ValueError as e:  # not JSON, or not UTF-8
                raise DataError(
                    f"{path} line {number}: expected a JSON object, found {line[:80]!r} ({e})"
                ) from e
            if not isinstance(row, dict):
                raise DataError(f"{path} line {number}: expected a JSON object, found {line[:80]!r}")
            yield number, row


def read_records(path: Path, kind: type[R], growing: bool = False) -> Iterator[R]:
    """The records of a JSONL file; image paths come back relative to the working directory."""
    for number, row in read_rows(path, growing):
        try:
            yield _relocate(from_json(kind, row), lambda p: str(path.parent / p))
        except DataError as e:
            raise DataError(f"{path} line {number}: {e}") from e


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write a JSONL file through a temporary name; returns how many. Images under its folder get relative paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    n = 0
    with open(scratch, "w", encoding="utf-8") as out:
        for n, record in enumerate(records, 1):  # noqa: B007
            out.write(json_line(record_row(record, path.parent)))
    os.replace(scratch, path)
    return n


def record_row(record: Record, folder: Path) -> dict[str, Any]:
    """A record's JSON as it is stored in `folder`: image paths relative to it where they lie inside, else absolute."""

    def stored(path: str) -> str:
        full = Path(os.path.abspath(path))
        root = Path(os.path.abspath(folder))
        return str(full.relative_to(root)) if full.is_relative_to(root) else str(full)

    return to_json(_relocate(record, stored))


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary name, so that a reader sees the old file or the new one, never half, whatever
    the power does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    with open(scratch, "w", encoding="utf-8") as out:
        out.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
        out.flush()
        os.fsync(out.fileno())
    os.replace(scratch, path)


def read_json(path: Path) -> dict[str, Any]:
    """A run's recipe or manifest. Raises RunError when it can't be read or is no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RunError(
            f"expected a JSON object in {path}, found something else ({e}); the run is damaged"
        ) from e
    if not isinstance(found, dict):
        raise RunError(f"expected a JSON object in {path}, found {type(found).__name__}; the run is damaged")
    return found


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _relocate(record: Any, move: Any) -> Any:
    if isinstance(record, Image):
        return dataclasses.replace(record, path=move(record.path))
    if isinstance(record, Problem):
        return dataclasses.replace(record, images=tuple(_relocate(i, move) for i in record.images))
    if isinstance(record, (Sample, Pair)):
        return dataclasses.replace(record, problem=_relocate(record.problem, move))
    return record


def _open(path: Path) -> Any:
    try:
        return open(path, "rb")
    except OSError as e:
        raise DataError(
            f"expected a JSONL file at {path}, found none that can be read ({e.strerror or e})"
        ) from e


def json_line(row: dict[str, Any]) -> str:
    """A row as a line of a JSONL file."""
    text = json.dumps(row, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        text = json.dumps(row, default=str)
    return text + "\n"
