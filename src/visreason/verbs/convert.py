"""Rewrite a data file in another format, exactly: the same rows come back when it is converted again.

Formats: problem, sample, pair (our records), flat, wethink, r1_onevision, virgo, sharegpt, messages, easyr1,
vlmevalkit, ranking, preference, vl_rewardbench, rewardbench. Pictures are copied to images/, named by content. Rows
that can't be read are kept in rejected.jsonl with line and reason.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field
from rich.console import Console
from rich.progress import track

from visreason import recipe
from visreason.data.album import Album
from visreason.data.convert import groups_of, records_of, write_row
from visreason.data.filters import relaid
from visreason.data.rows import Row, Rows, problem_of
from visreason.data.schemas import SCHEMAS
from visreason.data.written import write_rows
from visreason.errors import DataError
from visreason.prompt import Style, style
from visreason.record import Sample
from visreason.store import REJECTED, Run, read_json, record_row, write_json

Name = Literal[
    "problem", "sample", "pair", "flat", "wethink", "r1_onevision", "virgo", "sharegpt", "messages", "easyr1",
    "vlmevalkit", "ranking", "preference", "vl_rewardbench", "rewardbench",
]  # fmt: skip
BLOCK = 1000
"""Rows between two writes."""
PROGRESS = "progress.json"
"""How far a run is, while it is under way."""


class Recipe(recipe.Recipe):
    """What is read, and what is written: OUT/FORMAT.jsonl (or .json, .parquet, .tsv, as the format is)."""

    data: Path = Field(description="File to convert: .jsonl or .json (also .gz), .parquet, .tsv.")
    to: Name = Field(description="Format to write.")
    read_as: Name | None = Field(
        None, description="Format to read; told by every row's columns when not given."
    )
    style: str = Field("direct", description="How conversations are put where a record becomes one.")
    relay: bool = Field(
        False, description="Lay completions out as the style does: tags into markers, markers into tags."
    )
    name: str = Field(
        "visreason", description="What dataset_info.json calls the file (sharegpt, messages, ranking)."
    )


console = Console(stderr=True)


class Progress:
    """What was read and written up to a line of the input, on disk every BLOCK rows; a killed run goes on behind it.

    Rows and rejections behind that line wait in memory, since a row of several lines may still be open.
    """

    def __init__(self, record: Run, rows: str) -> None:
        self.record, self.file = record, rows
        self.counts = {"records": 0, "rows": 0, "rejected": 0}
        self.line, self.system, files = 0, False, {rows: 0, REJECTED: 0}
        if (record.path / PROGRESS).exists():
            found = read_json(record.path / PROGRESS)
            self.line, self.system, self.counts = found["line"], found["system"], found["counts"]
            files = found["files"]
        record.rewind(files)
        self.records: list[int] = []
        self.rows: list[Row] = []
        self.rejected: list[Row] = []

    def take(self, row: Row) -> None:
        """Take a row to write."""
        self.rows.append(row)
        self.system |= "system" in row

    def append(self, row: Row, /) -> None:
        """Take a rejected row, unless an earlier session did."""
        if row["line"] > self.line:
            self.rejected.append(row)

    def flush(self, line: int) -> None:
        """Write what is known up to this line, and the line last."""
        ready = sorted((r for r in self.rejected if r["line"] <= line), key=lambda r: r["line"])
        self.record.append(self.file, self.rows)
        self.record.append(REJECTED, ready)
        more = {
            "records": sum(n <= line for n in self.records),
            "rows": len(self.rows),
            "rejected": len(ready),
        }
        self.counts = {name: n + more[name] for name, n in self.counts.items()}
        self.line, self.rows = line, []
        self.rejected = [r for r in self.rejected if r["line"] > line]
        self.records = [n for n in self.records if n > line]
        files = self.record.cursor(self.file, REJECTED)
        done = {"line": line, "system": self.system, "counts": self.counts, "files": files}
        write_json(self.record.path / PROGRESS, done)


def run(recipe: Recipe, out: Path) -> None:
    """Convert and seal; the counts are of records read and written, and of rows and records rejected."""
    record = Run.open(out, "convert", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    schema = SCHEMAS[recipe.to]
    path = out / f"{recipe.to}{schema.suffix}"
    spool = path if path.suffix == ".jsonl" else path.with_suffix(".rows")
    progress = Progress(record, spool.name)
    _convert(recipe, Album(out, recipe.data.parent), progress)
    counts = progress.counts
    if not counts["rows"]:
        raise DataError(
            f"expected rows to convert in {recipe.data}, found none of {counts['rejected']} that can be; "
            f"{out / REJECTED} says why"
        )
    if spool != path:
        write_rows(path, spool)
    if schema.tags is not None:
        entry = {"file_name": path.name, **schema.tags}
        if progress.system:
            entry["columns"] = {**entry["columns"], "system": "system"}
        write_json(out / "dataset_info.json", {recipe.name: entry})
    (out / PROGRESS).unlink()
    if spool != path:
        spool.unlink()
    record.seal({"format": recipe.to}, [recipe.data], counts)
    console.print(f"{counts['rows']} rows, {counts['rejected']} rejected; {path}")


def _convert(recipe: Recipe, album: Album, progress: Progress) -> None:
    """Read on behind the last line that was done, to the end."""
    layout, line = style(recipe.style), progress.line
    groups = groups_of(_read(recipe, album, progress, layout), recipe.to)
    for line, found in track(groups, "convert", console=console, transient=True):
        for group in found:
            try:
                progress.take(write_row(group, recipe.to, album, layout))
            except DataError as e:
                progress.append({"line": line, "reason": str(e), "row": record_row(group[0], album.out)})
        if len(progress.rows) + len(progress.rejected) >= BLOCK:
            progress.flush(line)
    progress.flush(max([line, *(row["line"] for row in progress.rejected)]))


def _read(
    recipe: Recipe, album: Album, progress: Progress, layout: Style
) -> Iterator[tuple[int, list[Rows]]]:
    """Lines with their records, laid out anew where that is asked for."""
    for line, records in records_of(recipe.data, album, progress, recipe.read_as, progress.line):
        progress.records += [line] * len(records)
        found: list[Rows] = []
        for record in records:
            try:
                found.append(
                    relaid(record, layout) if recipe.relay and isinstance(record, Sample) else record
                )
            except DataError as e:
                row = record_row(record, album.out)
                progress.append({"line": line, "id": problem_of(record).id, "reason": str(e), "row": row})
        yield line, found
