"""`make survive`: every fault, then the same weights and records as an undisturbed run."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests.survive.faults import FAILED, PLACES, finish, kill_at, trainer
from tests.train.test_resume import assert_alike
from visreason.store import checkpoints

pytestmark = pytest.mark.survive
RUN = {"steps": 6, "save_every": 2, "keep": 2}
KILLS = [(place, call) for place, calls in (
    ("rollout", (1, 9, 40)), ("update", (2, 5, 11)), ("record", (1, 2, 6, 9)), ("checkpoint", (1, 2, 3)),
    ("naming", (1, 3)), ("manifest", (1, 2)),
) for call in calls]  # fmt: skip
RANDOM_KILLS = 20


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """A run that nothing disturbed, and the seconds of its steps."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert finish("grpo", world, out, out.parent / "mark", **RUN) == 0
    return out, sum(json.loads(line)["seconds"] for line in (out / "metrics.jsonl").read_text().splitlines())


@pytest.mark.parametrize(("place", "call"), KILLS)
def test_killed_at_a_chosen_moment(place, call, world, whole, tmp_path):
    out, mark = tmp_path / "run", tmp_path / "mark"
    assert place in PLACES
    assert kill_at(place, call, "grpo", world, out, mark, **RUN), "the moment never came"
    assert not (out / "manifest.json").exists()
    assert finish("grpo", world, out, mark, **RUN) == 0
    assert_alike(out, whole[0])


def test_killed_at_random_moments_again_and_again(world, whole, tmp_path):
    out, mark, rng, kills = tmp_path / "run", tmp_path / "mark", random.Random(0), 0
    while kills < RANDOM_KILLS:
        mark.with_suffix(".err").unlink(missing_ok=True)
        with trainer("grpo", world, out, mark, **RUN) as process:
            while process.is_alive() and "one by one" not in said(mark):  # what is said before the first step
                time.sleep(0.002)
            process.join(rng.uniform(0, 1.5 * whole[1]))
            kills += process.is_alive()
        if (out / "manifest.json").exists():
            assert_alike(out, whole[0])
            shutil.rmtree(out)
    assert finish("grpo", world, out, mark, **RUN) == 0
    assert_alike(out, whole[0])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_told_to_end_it_finishes_its_step_saves_and_exits_with_0(steps, world, whole, tmp_path):
    out, mark = tmp_path / "run", tmp_path / "mark"
    with trainer("grpo", world, out, mark, **RUN) as process:
        while process.is_alive() and lines_of(out / "metrics.jsonl") < steps:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGTERM)
        process.join(60)
        assert process.exitcode == 0
    lines = lines_of(out / "metrics.jsonl")
    assert steps <= lines < RUN["steps"]
    assert checkpoints(out)[-1].name == f"step_{lines:06d}"
    assert not (out / "manifest.json").exists()
    assert finish("grpo", world, out, mark, **RUN) == 0
    assert lines_of(out / "metrics.jsonl") == lines_of(whole[0] / "metrics.jsonl")
    model = [(checkpoints(p)[-1] / "model.safetensors").read_bytes() for p in (out, whole[0])]
    assert model[0] == model[1]


def said(mark):
    """What the trainer printed."""
    printed = mark.with_suffix(".err")
    return " ".join(printed.read_text().split()) if printed.exists() else ""


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1.5 MB, and what makes it larger or read-only."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", disk], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_stops_the_run_with_a_sentence_and_room_lets_it_end(small_disk, world, whole, tmp_path):
    disk, remount = small_disk
    mark = tmp_path / "mark"
    assert finish("grpo", world, disk / "run", mark, **RUN) == FAILED
    assert "make room and give the same command again" in mark.read_text()
    remount("size=64m")
    assert finish("grpo", world, disk / "run", mark, **RUN) == 0
    assert_alike(disk / "run", whole[0])


def test_an_output_that_turns_read_only_stops_the_run_with_a_sentence(small_disk, world, whole, tmp_path):
    disk, remount = small_disk
    mark = tmp_path / "mark"
    remount("size=64m")
    assert kill_at("update", 5, "grpo", world, disk / "run", mark, **RUN)
    remount("ro")
    assert finish("grpo", world, disk / "run", mark, **RUN) == FAILED
    assert "give another directory with out=" in mark.read_text()
    remount("rw")
    assert finish("grpo", world, disk / "run", mark, **RUN) == 0
    assert_alike(disk / "run", whole[0])


@pytest.mark.parametrize("name", ["trainer.pt", "model.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "gone"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(name, damage, world, whole, tmp_path):
    out, mark = tmp_path / "run", tmp_path / "mark"
    shutil.copytree(whole[0], out)
    (out / "manifest.json").unlink()
    file = checkpoints(out)[-1] / name
    data = file.read_bytes()
    made = {"empty": b"", "cut": data[: len(data) // 2], "zeros": bytes(len(data))}
    file.unlink() if damage == "gone" else file.write_bytes(made[damage])
    assert finish("grpo", world, out, mark, **RUN) == 0
    assert "step_000006 can't be read" in said(mark)
    assert "resuming from" in said(mark)
    assert (out / "checkpoint" / "damaged_step_000006").is_dir()
    shutil.rmtree(out / "checkpoint" / "damaged_step_000006")
    assert_alike(out, whole[0])


def test_a_clock_that_jumps_changes_nothing(world, whole, tmp_path):
    from tests.survive import clock

    out, mark = tmp_path / "run", tmp_path / "mark"
    process = clock.jumping("grpo", world, out, mark, RUN)
    assert process == 0
    assert_alike(out, whole[0])
