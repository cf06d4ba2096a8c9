"""Problems worked on in blocks, in this process or by Ray Data's workers, and written block by block.

A block is written once it is whole and those before it are, so that a killed run never asks anew for a problem that was
finished. Shards are whole blocks, and a block draws from its own seed wherever it is worked on.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from visreason.data import part
from visreason.factory.inputs import Making
from visreason.factory.pipeline import MADE, Made, Stage, Troubles, Work, console, read_made
from visreason.record import Problem, from_json, to_json
from visreason.store import Run

Build = Callable[[], Work]
"""Connects the engines; called once in every process that works, and not at all where nothing is left to do."""
Block = tuple[list[Problem], int]


def in_blocks(
    record: Run, recipe: Making, problems: Sequence[Problem], stage: Stage, build: Build
) -> tuple[list[Made], Troubles]:
    """What becomes of the problems of this shard, counted in `stage`; blocks on disk are not worked on again."""
    size = recipe.block
    starts = part(list(range(0, len(problems), size)), recipe.shard, f"blocks of {size} problems")
    ours = len(problems[starts[0] : starts[-1] + size])
    made = read_made(record.path / MADE)
    done = ours if len(made) >= ours else len(made) // size * size
    record.keep(MADE, done)
    made, troubles = made[:done], Troubles()
    finished = -(-done // size)
    blocks = [(list(problems[s : s + size]), recipe.seed * 100_003 + s // size) for s in starts[finished:]]
    results = _on_ray(build, blocks, recipe.workers) if recipe.runner == "ray" else _here(build, blocks)
    for found, went_wrong in track(
        results, record.verb, total=len(starts), completed=finished, console=console
    ):
        record.append(MADE, (m.row(record.path) for m in found))
        made += found
        troubles += went_wrong
    stage.drop(["another shard"] * (len(problems) - ours))
    stage.drop(m.rule for m in made)
    return made, troubles


def _here(build: Build, blocks: Sequence[Block]) -> Iterator[tuple[list[Made], Troubles]]:
    if blocks:
        work = build()
        yield from (work(*block) for block in blocks)


class Worker:
    """One of Ray's processes. It works in the driver's directory, since recipes and records name files from there."""

    def __init__(self, build: Build, folder: str) -> None:
        os.chdir(folder)
        self.work = build()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        problems = [from_json(Problem, p) for p in json.loads(row["problems"])]
        made, troubles = self.work(problems, int(row["seed"]))
        return {"made": json.dumps([m.row(Path()) for m in made]), "troubles": json.dumps(troubles)}


def _on_ray(build: Build, blocks: Sequence[Block], workers: int) -> Iterator[tuple[list[Made], Troubles]]:
    """Results in the order of the blocks. The cluster is the one that RAY_ADDRESS names, else this machine."""
    if not blocks:
        return
    from ray import data  # pyright: ignore[reportMissingImports]  # an extra, and half a second

    data.DataContext.get_current().execution_options.preserve_order = True
    rows = [{"problems": json.dumps(list(map(to_json, problems))), "seed": seed} for problems, seed in blocks]
    pool = data.ActorPoolStrategy(size=min(workers, len(rows)))
    found = data.from_items(rows, override_num_blocks=len(rows)).map(
        Worker, fn_constructor_args=(build, os.getcwd()), compute=pool
    )
    for row in found.iter_rows():
        made = [Made.read(m, Path()) for m in json.loads(row["made"])]
        yield made, Troubles(json.loads(row["troubles"]))
