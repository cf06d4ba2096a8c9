"""Put the shards of a run together: one run, as if it had never been divided."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from visreason import recipe
from visreason.errors import RunError
from visreason.factory.pipeline import MADE, read_made
from visreason.record import Sample
from visreason.store import JUDGED, RECIPE, SAMPLES, SCORED, Run, manifest, read_json, read_records, read_rows

MADE_BY = ((MADE,), (JUDGED, SCORED), (SAMPLES,))
"""What takes the time, and is joined, of data pipelines, of curate, and of all others; the rest follows from it."""


class Recipe(recipe.Recipe):
    """What is put together. The whole run lies in `out`, with its own manifest and counts."""

    runs: recipe.Paths = Field(
        min_length=1,
        description="Finished runs of one command, each with another shard=i/n, in any order.",
        examples=["[runs/evaluate/a1,runs/evaluate/a2]"],
    )


def run(recipe: Recipe, out: Path) -> None:
    """Join what was made and let the runs' own verb count and seal them.

    Raises RunError when a run is unfinished, is no shard, differs from the others in more, or when a shard is missing.
    """
    shards, whole = _ordered(recipe.runs)
    _join(shards, out, whole)
    words = [whole["verb"], str(out / RECIPE), f"out={out}"]
    status = subprocess.run([sys.executable, "-m", "visreason", *words], check=False).returncode
    if status:
        raise RunError(
            f"the rows of {len(shards)} shards are in {out}, but `visreason {' '.join(words)}` did not end well "
            f"(status {status}); see its message above"
        )


def _join(shards: list[Path], out: Path, whole: dict[str, Any]) -> None:
    """Write the undivided run's recipe and what was made; the directory is free for another process afterwards."""
    record = Run.open(out, whole["verb"], {**whole, "shard": None})
    if record.finished:
        return
    for name in next(names for names in MADE_BY if any((shards[0] / n).exists() for n in names)):
        record.rewind({name: 0})
        for path in (shard / name for shard in shards):
            record.append(name, _rows(path, record.path) if path.exists() else ())


def _rows(path: Path, out: Path) -> Iterable[Sample | dict[str, Any]]:
    """The rows of a shard's file, as they are appended to one in `out`."""
    if path.name == MADE:
        return (made.row(out) for made in read_made(path))
    return read_records(path, Sample) if path.name == SAMPLES else (row for _, row in read_rows(path))


def _ordered(paths: list[Path]) -> tuple[list[Path], dict[str, Any]]:
    """The runs in the order of their shards, and the settings that all share."""
    found: dict[str, Path] = {}
    common: dict[str, Any] = {}
    for path in paths:
        manifest(path)  # refuses an unfinished one
        settings = read_json(path / RECIPE)
        shard = settings.pop("shard", None)
        if shard is None:
            raise RunError(f"expected a run with shard=i/n in {path}, found a whole one; it needs no merging")
        if shard in found:
            raise RunError(f"expected every shard once, found {shard} in {found[shard]} and in {path}")
        differing = sorted(k for k in {*common, *settings} if common and common.get(k) != settings.get(k))
        if differing:
            raise RunError(
                f"expected runs of one command, found another {', '.join(differing)} in {path} than in {paths[0]}"
            )
        found[shard], common = path, settings
    n = max(int(shard.partition("/")[2]) for shard in found)
    missing = [f"{i}/{n}" for i in range(1, n + 1) if f"{i}/{n}" not in found]
    if missing or len(found) != n:
        raise RunError(
            f"expected shards 1/{n} to {n}/{n}, found {', '.join(found)}; run {', '.join(missing)} first"
        )
    return [found[f"{i}/{n}"] for i in range(1, n + 1)], common
