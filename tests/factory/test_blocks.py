"""Blocks: each draws from its own seed, wherever it is worked on, and engines are connected only where work is left."""

import json
import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from visreason.errors import DataError, RunError, UsageError
from visreason.factory.blocks import in_blocks
from visreason.factory.inputs import Making
from visreason.factory.pipeline import MADE, Made, Stage, read_made
from visreason.record import Problem
from visreason.store import Run

PROBLEMS = [Problem(f"p{i}", f"{i}?") for i in range(11)]


def build():
    """Work that notes its process in the folder PROCESSES, where there is one, and then takes its time."""
    folder = os.environ.get("PROCESSES")
    if folder:
        Path(folder, str(os.getpid())).touch()

    def work(block, seed):
        time.sleep(1 if folder else 0)
        return [Made(p, {"seed": seed, "place": i}) for i, p in enumerate(block)], Counter(busy=1)

    return work


def never():
    raise AssertionError("no engine is needed")


def made(folder, *, work=build, problems=PROBLEMS, **fields):
    recipe = Making(data="none", block=2, seed=3, **fields)
    stage = Stage("problems", len(problems))
    record = Run.open(folder, "distill", recipe.model_dump(mode="json"))
    in_blocks(record, recipe, problems, stage, work)
    return list(read_made(folder / MADE)), record.troubles(), stage


@pytest.mark.parametrize("shards", [2, 4])
def test_a_block_draws_from_its_own_seed_in_whatever_shard(shards, tmp_path):
    whole, troubles, _ = made(tmp_path / "whole")
    parts = [made(tmp_path / str(i), shard=f"{i}/{shards}") for i in range(1, shards + 1)]
    assert [m for found, _, _ in parts for m in found] == whole
    assert troubles == {"busy": 6}
    assert all(stage.row()["out"] == len(found) for found, _, stage in parts)


def test_what_is_on_disk_needs_no_engine(tmp_path):
    whole, troubles, _ = made(tmp_path)
    assert made(tmp_path, work=never)[:2] == (whole, troubles)


def interrupted(block, seed):
    if block[0].id == "p6":
        raise KeyboardInterrupt
    return build()(block, seed)


def test_a_run_goes_on_with_the_problems_that_it_began_with(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, work=lambda: interrupted)
    others = [replace(p, question="Another?") if p.id == "p3" else p for p in PROBLEMS]
    with pytest.raises(RunError, match=r"expected 'p3' next in .*the data changed since the run began"):
        made(tmp_path, problems=others)
    rows, troubles, _ = made(tmp_path)
    assert [m.problem for m in rows] == PROBLEMS
    assert troubles == {"busy": 6}  # those of the interrupted session among them


def test_no_problems_are_an_error(tmp_path):
    with pytest.raises(DataError, match="expected problems to be left"):
        made(tmp_path, problems=[])


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own settings
def test_rays_workers_make_the_same_rows_in_the_same_order(tmp_path, monkeypatch):
    whole, troubles, _ = made(tmp_path / "here")
    (tmp_path / "processes").mkdir()
    monkeypatch.setenv("PROCESSES", str(tmp_path / "processes"))
    again, more, _ = made(tmp_path / "ray", runner="ray", workers=2)
    assert (again, more) == (whole, troubles)
    assert json.dumps([m.row(tmp_path) for m in again]) == json.dumps([m.row(tmp_path) for m in whole])
    processes = {int(p.name) for p in (tmp_path / "processes").iterdir()}
    assert len(processes - {os.getpid()}) == 2


def broken():
    raise UsageError("expected an engine, found none")


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_a_workers_error_is_the_runs_own_and_the_next_run_goes_on(tmp_path):
    with pytest.raises(UsageError, match="expected an engine, found none"):
        made(tmp_path / "run", work=broken, runner="ray", workers=2)
    assert made(tmp_path / "run", runner="ray", workers=2)[0] == made(tmp_path / "here")[0]
