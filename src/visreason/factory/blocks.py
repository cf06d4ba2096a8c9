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

from visreason import errors
from visreason.data import part
from visreason.errors import DataError, RunError, VisreasonError
from visreason.factory.inputs import Making
from visreason.factory.pipeline import MADE, Made, Stage, Troubles, Work, console, read_made
from visreason.record import Problem, from_json, to_json
from visreason.store import Run

Build = Callable[[], Work]
"""Connects the engines; called once in every process that works, and not at all where nothing is left to do."""
Block = tuple[list[Problem], int]


def in_blocks(record: Run, recipe: Making, problems: Sequence[Problem], stage: Stage, build: Build) -> None:
    """Write what becomes of the problems of this shard to MADE, counted in `stage`, and what went wrong on the way.
    Blocks on disk are not worked on again.

    Raises DataError where no problem is left, RunError where those on disk are others.
    """
    if not problems:
        raise DataError(f"expected problems to be left, found none; the rules took {dict(stage.dropped)}")
    size = recipe.block
    starts = part(list(range(0, len(problems), size)), recipe.shard, f"blocks of {size} problems")
    ours = problems[starts[0] : starts[-1] + size]
    done = _done(record.path / MADE, ours, size)
    record.keep(MADE, done)
    finished = -(-done // size)
    blocks = [(list(problems[s : s + size]), recipe.seed * 100_003 + s // size) for s in starts[finished:]]
    results = _on_ray(build, blocks, recipe.workers) if recipe.runner == "ray" else _here(build, blocks)
    for found, went_wrong in track(
        results, record.verb, total=len(starts), completed=finished, console=console
    ):
        record.append(MADE, (m.row(record.path) for m in found))
        record.troubled(went_wrong)
    stage.drop(["another shard"] * (len(problems) - len(ours)))
    stage.drop(m.rule for m in read_made(record.path / MADE))


def _done(path: Path, ours: Sequence[Problem], size: int) -> int:
    """How many problems stand on disk in whole blocks."""
    n = 0
    for made, problem in zip(read_made(path), ours, strict=False):
        n += 1
        if _asked(made.problem) != _asked(problem):
            raise RunError(
                f"expected {problem.id!r} next in {path}, found {made.problem.id!r} or another text under that id: the "
                "data changed since the run began; start again in another directory (out=...)"
            )
    return n if n == len(ours) else n // size * size


def _asked(problem: Problem) -> tuple[Any, ...]:
    """What tells problems apart; descriptions and notes are added on the way."""
    shown = tuple(image.sha256 or image.path for image in problem.images)
    return problem.id, problem.question, problem.choices, problem.answer, shown


def _here(build: Build, blocks: Sequence[Block]) -> Iterator[tuple[list[Made], Troubles]]:
    if blocks:
        work = build()
        yield from (work(*block) for block in blocks)


class Worker:
    """One of Ray's processes. It works in the driver's directory, since recipes and records name files from there. Its
    own errors come back as rows: Ray would wrap them in a traceback."""

    def __init__(self, build: Build, folder: str) -> None:
        os.chdir(folder)
        self.build = build
        self.work: Work | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        problems = [from_json(Problem, p) for p in json.loads(row["problems"])]
        try:
            self.work = self.work or self.build()
            made, troubles = self.work(problems, int(row["seed"]))
        except VisreasonError as e:
            return {"made": "[]", "troubles": "{}", "error": type(e).__name__, "why": str(e)}
        found = json.dumps([m.row(Path()) for m in made])
        return {"made": found, "troubles": json.dumps(troubles), "error": "", "why": ""}


def _on_ray(build: Build, blocks: Sequence[Block], workers: int) -> Iterator[tuple[list[Made], Troubles]]:
    """Results in the order of the blocks. The cluster is the one that RAY_ADDRESS names, else this machine, where Ray
    ends with the run: what it leaves running would take the processors of the next one."""
    if not blocks:
        return
    import ray  # pyright: ignore[reportMissingImports]  # an extra, and half a second
    from ray import data  # pyright: ignore[reportMissingImports]

    ours = not ray.is_initialized()
    if ours:
        ray.init()
    try:
        data.DataContext.get_current().execution_options.preserve_order = True
        rows = [
            {"problems": json.dumps(list(map(to_json, problems))), "seed": seed} for problems, seed in blocks
        ]
        pool = data.ActorPoolStrategy(size=min(workers, len(rows)))
        found = data.from_items(rows, override_num_blocks=len(rows)).map(
            Worker, fn_constructor_args=(build, os.getcwd()), compute=pool
        )
        for row in found.iter_rows():
            if row["error"]:
                raise getattr(errors, row["error"])(row["why"])
            made = [Made.read(m, Path()) for m in json.loads(row["made"])]
            yield made, Troubles(json.loads(row["troubles"]))
    finally:
        if ours:
            ray.shutdown()
