"""Rows of JSON lines written as a JSON list, parquet, or a table with tabs, streamed."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from visreason.errors import DataError

Row = dict[str, Any]
BATCH = 256


def write_rows(path: Path, spool: Path) -> None:
    """Write the rows of a JSONL file in the form of the path's ending, through a temporary name. Tables and parquet
    files have the columns of all rows."""
    scratch = path.with_name(path.name + ".tmp")
    WRITERS[path.suffix](scratch, spool)
    os.replace(scratch, path)


def _list(path: Path, spool: Path) -> None:
    with open(path, "wb") as out, open(spool, "rb") as lines:
        out.write(b"[")
        for n, line in enumerate(lines):
            out.write((b"," if n else b"") + b"\n" + line.rstrip(b"\n"))
        out.write(b"\n]\n")


def _read(spool: Path) -> Iterator[Row]:
    with open(spool, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _columns(spool: Path) -> list[str]:
    found: dict[str, None] = {}
    for row in _read(spool):
        found.update(dict.fromkeys(row))
    return list(found)


def _table(path: Path, spool: Path) -> None:
    columns = _columns(spool)
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        for row in _read(spool):
            writer.writerow([_cell(row.get(c, "")) for c in columns])


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parquet(path: Path, spool: Path) -> None:
    import pyarrow as pa  # a third of a second, for files that few want
    import pyarrow.parquet as pq

    try:
        tables = (pa.Table.from_pylist(batch) for batch in _batches(spool))
        schema = pa.unify_schemas([t.schema for t in tables], promote_options="permissive")
        with pq.ParquetWriter(path, schema) as out:
            for batch in _batches(spool):
                out.write_table(pa.Table.from_pylist(batch, schema=schema))
    except (pa.ArrowException, TypeError) as e:
        raise DataError(
            f"expected columns of one type each for parquet, found others ({e}); write a JSON format with to=..."
        ) from e


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


WRITERS: dict[str, Callable[[Path, Path], None]] = {".json": _list, ".tsv": _table, ".parquet": _parquet}
