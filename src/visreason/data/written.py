"""Rows written to a file of a format, streamed: JSON lines, a JSON list, parquet, or a table with tabs."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from visreason.errors import DataError

Row = dict[str, Any]
BATCH = 256


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows by the file's ending, through a temporary name. Returns how many.

    Tables and parquet files have the columns of all rows, so their rows lie in a scratch file first.
    """
    scratch = path.with_name(path.name + ".tmp")
    spool = path.with_name(path.name + ".rows.tmp")
    write = WRITERS[path.suffix]
    n = write(scratch, rows) if path.suffix in (".jsonl", ".json") else _spooled(spool, scratch, rows, write)
    os.replace(scratch, path)
    return n


def _spooled(spool: Path, scratch: Path, rows: Iterable[Row], write: Callable[..., int]) -> int:
    try:
        _lines(spool, rows)
        return write(scratch, spool)
    finally:
        spool.unlink(missing_ok=True)


def _lines(path: Path, rows: Iterable[Row]) -> int:
    n = 0
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as out:
        for n, row in enumerate(rows, 1):  # noqa: B007
            out.write(json.dumps(row, ensure_ascii=_broken(row), default=str) + "\n")
    return n


def _broken(row: Row) -> bool:
    """Whether a text holds half a surrogate pair, which only an escape can write."""
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return True
    return False


def _list(path: Path, rows: Iterable[Row]) -> int:
    n = 0
    with open(path, "w", encoding="utf-8") as out:
        out.write("[")
        for n, row in enumerate(rows, 1):
            text = json.dumps(row, ensure_ascii=_broken(row), default=str)
            out.write(("," if n > 1 else "") + "\n" + text)
        out.write("\n]\n")
    return n


def _read(spool: Path) -> Iterator[Row]:
    with open(spool, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _columns(spool: Path) -> list[str]:
    found: dict[str, None] = {}
    for row in _read(spool):
        found.update(dict.fromkeys(row))
    return list(found)


def _table(path: Path, spool: Path) -> int:
    columns, n = _columns(spool), 0
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        for n, row in enumerate(_read(spool), 1):  # noqa: B007
            writer.writerow([_cell(row.get(c, "")) for c in columns])
    return n


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parquet(path: Path, spool: Path) -> int:
    import pyarrow as pa  # a third of a second, for files that few want
    import pyarrow.parquet as pq

    try:
        tables = (pa.Table.from_pylist(batch) for batch in _batches(spool))
        schema = pa.unify_schemas([t.schema for t in tables], promote_options="permissive")
        n = 0
        with pq.ParquetWriter(path, schema) as out:
            for batch in _batches(spool):
                out.write_table(pa.Table.from_pylist(batch, schema=schema))
                n += len(batch)
    except (pa.ArrowException, TypeError) as e:
        raise DataError(
            f"expected columns of one type each for parquet, found others ({e}); write a JSON format with to=..."
        ) from e
    return n


def _batches(spool: Path) -> Iterator[list[Row]]:
    """Rows in batches, all with the same columns, since a table takes its columns from its first row."""
    columns, batch = _columns(spool), []
    for row in _read(spool):
        batch.append({c: row.get(c) for c in columns})
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


WRITERS: dict[str, Callable[..., int]] = {
    ".jsonl": _lines, ".json": _list, ".tsv": _table, ".parquet": _parquet,
}  # fmt: skip
