"""Rewrite a data file in another format, exactly: the same rows come back when it is converted again.

Formats: problem, sample, pair (our records), flat, wethink, r1_onevision, virgo, sharegpt, messages, easyr1,
vlmevalkit, ranking, preference, vl_rewardbench, rewardbench. Pictures are copied to images/, named by content. Rows
that can't be read are kept in rejected.jsonl with line and reason.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console
from rich.progress import track

from visreason import recipe
from visreason.data.album import Album
from visreason.data.convert import records_of, rows_of
from visreason.data.filters import relaid
from visreason.data.schemas import SCHEMAS, Rows
from visreason.data.written import write_rows
from visreason.errors import DataError
from visreason.prompt import style
from visreason.record import Sample
from visreason.store import REJECTED, Run, write_json

Name = Literal[
    "problem", "sample", "pair", "flat", "wethink", "r1_onevision", "virgo", "sharegpt", "messages", "easyr1",
    "vlmevalkit", "ranking", "preference", "vl_rewardbench", "rewardbench",
]  # fmt: skip
TABLED = 1000
"""Rejected rows between two writes."""


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


class Rejections:
    """Rejected rows, written to the run as they come."""

    def __init__(self, record: Run) -> None:
        self.record, self.count, self.waiting = record, 0, []
        record.rewind({REJECTED: 0})

    def append(self, row: dict[str, Any], /) -> None:
        self.count += 1
        self.waiting.append(row)
        if len(self.waiting) == TABLED:
            self.flush()

    def flush(self) -> None:
        self.record.append(REJECTED, self.waiting)
        self.waiting = []


def run(recipe: Recipe, out: Path) -> None:
    """Convert and seal; the counts are of records read and written, and of rows and records rejected."""
    record = Run.open(out, "convert", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    rejected = Rejections(record)
    album = Album(out, recipe.data.parent)
    schema, layout = SCHEMAS[recipe.to], style(recipe.style)
    counts = {"records": 0, "rows": 0}

    def records() -> Iterator[Rows]:
        found = records_of(recipe.data, album, rejected, recipe.read_as)
        for one in track(found, "convert", console=console, transient=True):
            counts["records"] += 1
            if recipe.relay and isinstance(one, Sample):
                try:
                    one = relaid(one, layout)
                except DataError as e:
                    rejected.append({"id": one.problem.id, "reason": str(e)})
                    continue
            yield one

    path = out / f"{recipe.to}{schema.suffix}"
    counts["rows"] = write_rows(path, rows_of(records(), recipe.to, album, layout, rejected))
    rejected.flush()
    counts["rejected"] = rejected.count
    if not counts["rows"]:
        raise DataError(
            f"expected rows to convert in {recipe.data}, found none of {rejected.count} that can be; "
            f"{out / REJECTED} says why"
        )
    if schema.tags is not None:
        write_json(out / "dataset_info.json", {recipe.name: {"file_name": path.name, **schema.tags}})
    record.seal({"format": recipe.to}, [recipe.data], counts)
    console.print(f"{counts['rows']} rows, {counts['rejected']} rejected; {path}")
