"""Rows of a file: JSON lines or a JSON list, plain or gzipped. What a row means is not decided here."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from visreason.errors import DataError


def read_rows(path: Path, rejected: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of every row: lines of .jsonl, elements of a .json list; either may end in .gz.

    What is not an object goes to `rejected`. Raises DataError for a file that can't be read at all.
    """
    name = path.name.removesuffix(".gz")
    if not name.endswith((".jsonl", ".json")):
        raise DataError(
            f"expected a .jsonl or .json file (or either with .gz), found {path}; convert it first"
        )
    data = _content(path)
    whole = _whole(path, data) if name.endswith(".json") else None
    if whole is not None:
        yield from _objects(enumerate(whole, 1), rejected)
    else:
        yield from _objects(_lines(data, rejected), rejected)


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(
            f"expected a data file at {path}, found none that can be read ({e}); check the path"
        ) from e
    return data.removeprefix(b"\xef\xbb\xbf")


def _whole(path: Path, data: bytes) -> list[Any] | None:
    """The elements of a JSON list; None for JSON lines in a .json file."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as e:
        if data.lstrip()[:1] == b"{" and b"\n" in data.strip():
            return None
        raise DataError(
            f"expected a JSON list in {path}, found text that is not JSON ({e}); correct it"
        ) from e
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise DataError(
            f"expected a JSON list in {path}, found {type(value).__name__}; give one object per row"
        )
    return value


def _lines(data: bytes, rejected: list[dict[str, Any]]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:
            shown = line[:200].decode("utf-8", "replace")
            rejected.append(
                {"line": number, "reason": f"expected JSON, found text that is none ({e})", "row": shown}
            )
            continue
        yield number, value


def _objects(
    values: Iterator[tuple[int, Any]], rejected: list[dict[str, Any]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in values:
        if isinstance(value, dict):
            yield number, value
        else:
            reason = f"expected a JSON object, found {type(value).__name__}"
            rejected.append({"line": number, "reason": reason, "row": value})
