"""Blocks: each draws from its own seed, wherever it is worked on, and engines are connected only where work is left."""

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from visreason.factory.blocks import in_blocks
from visreason.factory.inputs import Making
from visreason.factory.pipeline import Made, Stage
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


def made(folder, *, work=build, **fields):
    recipe = Making(data="none", block=2, seed=3, **fields)
    stage = Stage("problems", len(PROBLEMS))
    record = Run.open(folder, "distill", recipe.model_dump(mode="json"))
    found, troubles = in_blocks(record, recipe, PROBLEMS, stage, work)
    return found, troubles, stage


@pytest.mark.parametrize("shards", [2, 4])
def test_a_block_draws_from_its_own_seed_in_whatever_shard(shards, tmp_path):
    whole, troubles, _ = made(tmp_path / "whole")
    parts = [made(tmp_path / str(i), shard=f"{i}/{shards}") for i in range(1, shards + 1)]
    assert [m for found, _, _ in parts for m in found] == whole
    assert troubles == Counter(busy=6)
    assert all(stage.row()["out"] == len(found) for found, _, stage in parts)


def test_what_is_on_disk_needs_no_engine(tmp_path):
    whole, _, _ = made(tmp_path)
    assert made(tmp_path, work=never)[:2] == (whole, Counter())


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
