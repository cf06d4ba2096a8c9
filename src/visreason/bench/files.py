"""Rows of the files in which benchmarks and outputs are published. What a row means is not decided here.

JSON (a list, or an object by id), JSON lines, CSV, TSV, parquet and XLSX; text may be gzipped.
"""

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from visreason.bench.kind import Row
from visreason.errors import DataError

KINDS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".xlsx", ".js")
LISTS = ("results", "result", "data")
"""Keys under which an object of settings keeps its rows."""
MAX_CELL = 2**31 - 1


HUB = "hub:"
"""What precedes the id of a data set to be fetched; nothing else is ever downloaded."""


def located(data: str) -> Path:
    """The path that `data` names, or the folder of a data set fetched from the hub: `hub:OWNER/NAME[@REVISION]`."""
    if not data.startswith(HUB):
        return Path(data)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = data.removeprefix(HUB).partition("@")
    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=revision or None))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as e:
        raise DataError(
            f"expected the data set {name} on the hub, found none that can be fetched ({e}); give a path instead"
        ) from e


def revision(path: Path) -> str | None:
    """The commit of a data set fetched from the hub, which keeps it in the path."""
    found = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return found.group(1) if found else None


def find(path: Path, candidates: Iterable[str], what: str) -> list[Path]:
    """The file itself, or the first candidate (a pattern, with or without .gz) that a folder holds."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"expected {what} at {path}, found nothing there; check the path")
    candidates = tuple(candidates)
    for pattern in candidates:
        for name in (pattern, pattern.rpartition("/")[2]):
            for end in ("", ".gz"):
                if found := sorted(path.glob(name + end)):
                    return found
    here = sorted(p.name for p in path.iterdir())[:8]
    raise DataError(
        f"expected {what} in {path} at {' or '.join(candidates)}, found {', '.join(here) or 'nothing'}; give the file"
    )


def rows(path: Path) -> Iterator[Row]:
    """The rows of one file. Raises DataError when it can't be read, with the line that is wrong."""
    name = path.name.removesuffix(".gz")
    kind = Path(name).suffix
    if kind not in KINDS:
        raise DataError(
            f"expected a file of {', '.join(KINDS)} (or with .gz), found {path}; convert it first"
        )
    if kind == ".parquet":
        values: Iterable[tuple[str, Any]] = (("", row) for row in _parquet(path))
    elif kind == ".xlsx":
        values = (("", row) for row in _xlsx(path))
    elif kind in (".csv", ".tsv"):
        values = (("", row) for row in _table(path, "," if kind == ".csv" else "\t"))
    else:
        values = _json(path, read_text(path), kind)
    for line, (key, value) in enumerate(values, 1):
        yield Row(value, key, path, line)


def read_text(path: Path) -> str:
    """The text of a file, gzipped or not. Raises DataError when it can't be read."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as e:
        raise DataError(f"expected a text file at {path}, found none that can be read ({e})") from e


def _json(path: Path, text: str, kind: str) -> Iterator[tuple[str, Any]]:
    if kind == ".js":  # a web page's data: test_data = {...}
        text = text.partition("=")[2].strip().rstrip(";")
    if kind == ".jsonl":
        yield from _lines(path, text)
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as e:
        if text.lstrip()[:1] == "{" and "\n" in text.strip():
            yield from _lines(path, text)
            return
        raise DataError(f"expected JSON in {path}, found text that is none ({e}); correct it") from e
    if isinstance(value, dict) and (name := next((n for n in LISTS if isinstance(value.get(n), list)), None)):
        value = value[name]
    if isinstance(value, dict):
        yield from ((str(key), v) for key, v in value.items())
    elif isinstance(value, list):
        yield from (("", v) for v in value)
    else:
        raise DataError(
            f"expected rows in {path}, found {type(value).__name__}; give a list or an object by id"
        )


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield "", json.loads(line)
            except (ValueError, RecursionError) as e:
                raise DataError(f"{path} line {number}: expected JSON, found {line[:80]!r} ({e})") from e


def _table(path: Path, separator: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=separator)
    try:
        names = next(reader, [])
        for cells in filter(None, reader):
            if len(cells) != len(names):
                raise DataError(
                    f"{path} line {reader.line_num}: expected {len(names)} cells, found {len(cells)}; put texts with "
                    "separators or line ends in quotes"
                )
            yield dict(zip(names, cells, strict=True))
    except csv.Error as e:
        raise DataError(f"{path} line {reader.line_num}: expected a table, found {e}; correct it") from e


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=256):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as e:
        raise DataError(f"expected a parquet file at {path}, found none that can be read ({e})") from e


def _xlsx(path: Path) -> Iterator[dict[str, Any]]:
    import openpyxl  # half a second, for sheets alone

    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as e:
        raise DataError(f"expected an XLSX file at {path}, found none that can be read ({e})") from e
    lines = sheet.iter_rows(values_only=True)
    names = [str(n) for n in next(lines, ())]
    yield from (dict(zip(names, line, strict=False)) for line in lines)
