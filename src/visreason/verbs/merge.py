"""Put shards together: of runs into one, counted as if it had never been divided; of a checkpoint into a model, and
adapters and their base as well."""

import subprocess
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from visreason import recipe
from visreason.bench.asking import DEVICES
from visreason.errors import RunError
from visreason.factory.pipeline import MADE, read_made
from visreason.record import Sample
from visreason.store import (
    JUDGED,
    RECIPE,
    SAMPLES,
    SCORED,
    TROUBLES,
    Run,
    manifest,
    model_files,
    model_path,
    read_json,
    read_records,
    read_rows,
)

if TYPE_CHECKING:
    from visreason.train.settings import Training

MADE_BY = ((MADE,), (JUDGED, SCORED), (SAMPLES,))
"""What takes the time, and is joined, of data pipelines, of curate, and of all others; the rest follows from it."""
BESIDE = (TROUBLES, DEVICES)
"""What is kept of the engines that answered."""
BLOCK = 1000
"""Rows in memory at a time."""


class Recipe(recipe.Recipe):
    """What is put together, runs or a checkpoint. It lies in `out`, with a manifest of its own."""

    runs: recipe.Paths = Field(
        [],
        description="Finished runs of one command, each with another shard=i/n, in any order.",
        examples=["[runs/evaluate/a1,runs/evaluate/a2]"],
    )
    checkpoint: Path | None = Field(
        None,
        description="Checkpoint (RUN/checkpoint/step_N) that several processes wrote, or adapters (a run or a "
        "checkpoint); it becomes an ordinary model (adapters in parts become adapters).",
    )

    @model_validator(mode="after")
    def _refuse_both(self) -> Self:
        if bool(self.runs) == bool(self.checkpoint):
            found = "both" if self.runs else "neither"
            raise ValueError(f"expected runs=[...] or checkpoint=..., found {found}; give one of them")
        return self


def run(recipe: Recipe, out: Path) -> None:
    """Put together what the recipe names.

    Raises RunError when a run is unfinished, is no shard, differs from the others in more, or when a shard is missing;
    and for a checkpoint that needs no merging, or can't be read.
    """
    if recipe.checkpoint:
        _model(recipe.checkpoint, recipe, out)
    else:
        _runs(recipe.runs, out)


def _model(folder: Path, recipe: Recipe, out: Path) -> None:
    """Write the checkpoint's weights to `out`, which can then be named as a model."""
    from visreason.model import load
    from visreason.train import checkpoint

    folder = Path(model_path(str(folder)))
    if checkpoint.sharded(folder):
        write, pieces = _whole, sorted(folder.glob(f"{checkpoint.SHARDS}/*"))
    elif load.adapted(folder):
        write, pieces = _folded, model_files(str(folder))
    else:
        raise RunError(
            f"expected a checkpoint in shards, or adapters, at {folder}, found neither; a Hugging Face directory is a "
            "whole model already"
        )
    record = Run.open(out, "merge", recipe.model_dump(mode="json"))
    if record.finished:
        return
    name = folder.name if folder.name.startswith("step_") else "step_000000"  # of adapters that no run made
    to = out / "checkpoint" / name
    start = write(folder, to)
    record.seal({"checkpoint": f"checkpoint/{name}"}, [*model_files(start), *pieces])
    print(f"done: {to}")


def _whole(folder: Path, to: Path) -> str:
    """Write what several processes wrote as one directory; returns the model that their run began with."""
    from visreason.prompt import style
    from visreason.train import setup
    from visreason.world.source import model_folder

    run = folder.resolve().parents[1]
    settings = _settings(read_json(run / RECIPE))
    start = model_folder(settings.model, run, style(settings.style), settings.seed)
    setup.put_together(folder, settings, start, to)
    return start


def _folded(folder: Path, to: Path) -> str:
    """Write adapters folded into their base; returns the base."""
    from visreason.model import load

    load.fold(str(folder), to)
    return read_json(folder / "adapter_config.json")["base_model_name_or_path"]


def _settings(saved: dict[str, Any]) -> "Training":
    """The settings in a training run's recipe.json, for the CPU. Raises RunError for a run that trained nothing."""
    from visreason.train.pair_settings import Preferring, RewardModelling
    from visreason.train.settings import Reinforcement, Training

    kinds = {"sft": Training, "grpo": Reinforcement, "reward_model": RewardModelling, "mpo": Preferring}
    if saved.get("verb") not in kinds:
        raise RunError(f"expected a run of {', '.join(kinds)}, found one of {saved.get('verb')}")
    kind = kinds[saved["verb"]]
    return kind(**{k: v for k, v in saved.items() if k in kind.model_fields} | {"device": "cpu"})


def _runs(runs: list[Path], out: Path) -> None:
    """Join what was made and let the runs' own verb count and seal it."""
    shards, whole = _ordered(runs)
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
    for name in (*_made(shards, whole["verb"]), *BESIDE):
        record.rewind({name: 0})
        for path in (shard / name for shard in shards):
            rows = iter(_rows(path, record.path) if path.exists() else ())
            while block := list(islice(rows, BLOCK)):
                record.append(name, block)


def _made(shards: list[Path], verb: str) -> tuple[str, ...]:
    """The names of the files that take the time and are joined."""
    for names in MADE_BY:
        if any((shard / name).exists() for shard in shards for name in names):
            return names
    raise RunError(
        f"expected {' or '.join(n for names in MADE_BY for n in names)} in the shards of {verb}, found none; "
        "runs without them can't be joined"
    )


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
