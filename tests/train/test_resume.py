import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.model.world import STYLE
from tests.train.pairs import pairs_file
from visreason import store
from visreason.errors import RunError
from visreason.store import checkpoints, manifest
from visreason.train import checkpoint, setup, update
from visreason.verbs import grpo, mpo, reward_model, sft

TIMING = {
    "seconds",
    "seconds_rollout",
    "seconds_update",
    "tokens_per_s",
    "rollout_tokens_per_s",
    "seconds_heldout",
    "seconds_reward",
}
COMMON = {"style": STYLE, "steps": 5, "save_every": 2, "problems_per_step": 2, "lr": 1e-3, "device": "cpu"}
REINFORCED = {
    "completions_per_problem": 2, "max_completion_tokens": 6, "rewards": {"tests.train.rewards:first_even": 1.0},
    "kl": 0.1, "minibatches": 2, "zero_spread": "resample",
}  # fmt: skip
PAIRED = {"reward_model": {"heldout_one_in": 4, "heldout_every": 2}, "mpo": {}}
VERBS = ("sft", "grpo")


class Killed(BaseException):
    """What no `except Exception` stops, as no process stops a kill."""


def words(verb, world, **changes):
    """The fields of a short run."""
    fields = COMMON | (REINFORCED if verb == "grpo" else PAIRED.get(verb, {})) | changes
    data = pairs_file(world) if verb in PAIRED else world / "train.jsonl"
    return {"model": str(world / "small"), "data": str(data), **fields}


def train(verb, world, out, **changes):
    module = {"sft": sft, "grpo": grpo, "mpo": mpo, "reward_model": reward_model}[verb]
    module.run(module.Recipe(**words(verb, world, **changes)), out)


@pytest.fixture(scope="module")
def never_killed(world, tmp_path_factory):
    """Runs of both verbs that were left alone."""
    folder = tmp_path_factory.mktemp("whole")
    for verb in VERBS:
        train(verb, world, folder / verb)
    return folder


def metrics(out):
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMING} for row in rows]


def files(out):
    """Bytes of what a run leaves, without what differs from day to day; no temporary file among them."""
    skipped = {"manifest.json", "metrics.jsonl", "trainer.pt"}
    found = {
        str(p.relative_to(out)): p.read_bytes()
        for p in out.rglob("*")
        if p.is_file() and p.name not in skipped
    }
    return {name: data for name, data in found.items() if not name.startswith("report/")}


def flat(state):
    """A training state as names and values that can be compared, without the bytes that seconds take in metrics."""
    if isinstance(state, dict):
        return {f"{k}/{name}": v for k in state if k != "metrics.jsonl" for name, v in flat(state[k]).items()}
    if isinstance(state, (list, tuple)):
        return flat(dict(enumerate(state)))
    return {"": state.numpy().tobytes() if isinstance(state, torch.Tensor) else state}


def assert_alike(killed, whole):
    assert metrics(killed) == metrics(whole)
    found, expected = files(killed), files(whole)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    for one, other in zip(checkpoints(killed), checkpoints(whole), strict=True):
        assert flat(checkpoint.load_state(one)) == flat(checkpoint.load_state(other))
    assert manifest(killed)["summary"] == manifest(whole)["summary"]


def on_call(n, original, before=None, after=None):
    """The function, with something done at its nth call: before it, or after it."""
    calls = [0]

    def counted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == n and before:
            before(*args, **kwargs)
        result = original(*args, **kwargs)
        if calls[0] == n and after:
            after()
        return result

    return counted


def die(*args, **kwargs):
    raise Killed


def killed(update_number, verb, world, out, **changes):
    """A run that was killed before its nth update, and given again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "apply", on_call(update_number, update.apply, before=die))
        with pytest.raises(Killed):
            train(verb, world, out, **changes)
    train(verb, world, out, **changes)


def die_with_half_a_line(run, name, rows):
    with open(run.path / name, "a") as out:
        out.write('{"step": 4, "lo')
    raise Killed


def die_with_half_a_file(state, path):
    Path(path).write_bytes(b"PK half")
    raise Killed


MOMENTS = {
    "in the first step": lambda patch: patch(update, "apply", 1, before=die),
    "before an update": lambda patch: patch(update, "apply", 4, before=die),
    "after an update, before its records": lambda patch: patch(update, "apply", 3, after=die),
    "between samples and metrics": lambda patch: patch(store.Run, "append", 6, before=die),
    "in the middle of a line": lambda patch: patch(store.Run, "append", 8, before=die_with_half_a_line),
    "in the middle of the first checkpoint": lambda patch: patch(
        torch, "save", 1, before=die_with_half_a_file
    ),
    "in the middle of a later checkpoint": lambda patch: patch(torch, "save", 2, before=die_with_half_a_file),
    "before a checkpoint has its name": lambda patch: patch(checkpoint, "_to_disk", 2, before=die),
    "before old checkpoints are deleted": lambda patch: patch(checkpoint, "prune", 3, before=die),
    "before the seal": lambda patch: patch(setup, "seal", 1, before=die),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_run_killed_at_any_moment_ends_as_one_never_killed(verb, moment, world, never_killed, tmp_path):
    with pytest.MonkeyPatch.context() as monkeypatch:

        def patch(owner, name, n, **what):
            monkeypatch.setattr(owner, name, on_call(n, getattr(owner, name), **what))

        MOMENTS[moment](patch)
        with pytest.raises(Killed):
            train(verb, world, tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    train(verb, world, tmp_path)
    assert_alike(tmp_path, never_killed / verb)


def test_a_run_killed_again_and_again_ends_as_one_never_killed(world, never_killed, tmp_path, monkeypatch):
    apply = update.apply
    kills = 0
    for _ in range(4):
        monkeypatch.setattr(update, "apply", on_call(5, apply, before=die))
        try:
            train("grpo", world, tmp_path)
        except Killed:
            kills += 1
    assert kills == 2
    monkeypatch.setattr(update, "apply", apply)
    train("grpo", world, tmp_path)
    assert_alike(tmp_path, never_killed / "grpo")


@pytest.mark.parametrize(
    ("verb", "changes"),
    [
        ("grpo", {"lora_rank": 2, "lora_parts": ("language", "vision")}),
        ("grpo", {"zero_spread": "reuse", "minibatches": 1, "steps": 8}),
        ("mpo", {}),
        ("reward_model", {}),
        ("reward_model", {"lora_rank": 2, "centre": 0.01, "margins": True}),
        (
            "sft",
            {
                "precision": "bfloat16",
                "checkpoint_activations": True,
                "freeze": ("vision",),
                "weight_decay": 0.1,
            },
        ),
    ],
)
def test_every_way_of_training_can_be_killed(verb, changes, world, tmp_path):
    train(verb, world, tmp_path / "whole", **changes)
    with pytest.MonkeyPatch.context() as monkeypatch:
        late = 8 if verb == "grpo" and changes.get("minibatches") != 1 else 4
        monkeypatch.setattr(update, "apply", on_call(late, update.apply, before=die))
        with pytest.raises(Killed):
            train(verb, world, tmp_path / "killed", **changes)
    train(verb, world, tmp_path / "killed", **changes)
    assert_alike(tmp_path / "killed", tmp_path / "whole")


def test_a_process_that_is_killed_for_real_ends_as_one_never_killed(world, never_killed, tmp_path):
    fields = words("grpo", world)
    command = [sys.executable, "-m", "visreason", "grpo", f"out={tmp_path}"]
    command += [f"{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in fields.items()]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "SECONDS_A_REWARD": "0.5"}
    process = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL)
    written = tmp_path / "metrics.jsonl"
    while process.poll() is None and not (written.exists() and written.read_bytes().count(b"\n") >= 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "manifest.json").exists()
    train("grpo", world, tmp_path)
    assert_alike(tmp_path, never_killed / "grpo")


def test_a_finished_run_is_left_as_it_is(world, never_killed, monkeypatch):
    monkeypatch.setattr(setup, "open_policy", die)
    before = files(never_killed / "sft")
    train("sft", world, never_killed / "sft")
    assert files(never_killed / "sft") == before


@pytest.mark.parametrize(
    ("verb", "changes", "message"),
    [
        ("sft", {"lr": 2e-3}, r"differs in lr \(0.001 there, 0.002 here\)"),
        ("sft", {"steps": 6, "seed": 1}, r"differs in seed \(0 there, 1 here\), steps \(5 there, 6 here\)"),
        ("grpo", {}, "verb \\('sft' there, 'grpo' here\\)"),
    ],
)
def test_another_recipe_in_the_same_directory_is_refused(
    verb, changes, message, world, never_killed, tmp_path
):
    shutil.copytree(never_killed / "sft", tmp_path / "run")
    before = files(tmp_path / "run")
    with pytest.raises(RunError, match=message):
        train(verb, world, tmp_path / "run", **changes)
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["trainer.pt", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK half", b"no pickle"])
def test_the_checkpoint_before_a_damaged_one_is_taken_and_said(
    world, never_killed, tmp_path, name, content, capsys
):
    shutil.copytree(never_killed / "sft", tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    (tmp_path / "run" / "checkpoint" / "step_000005" / name).write_bytes(content)
    train("sft", world, tmp_path / "run")
    assert "step_000005 can't be read" in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(tmp_path / "run" / "checkpoint" / "damaged_step_000005")
    assert_alike(tmp_path / "run", never_killed / "sft")


def test_a_run_whose_checkpoints_are_all_damaged_is_an_error(world, never_killed, tmp_path):
    shutil.copytree(never_killed / "sft", tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    for folder in checkpoints(tmp_path / "run"):
        (folder / "trainer.pt").write_bytes(b"")
    with pytest.raises(RunError, match=r"step_000004 can't be read .* There is no other: start again"):
        train("sft", world, tmp_path / "run")
    assert len(checkpoints(tmp_path / "run")) == 2


def test_records_lost_behind_a_checkpoint_are_an_error(world, never_killed, tmp_path):
    shutil.copytree(never_killed / "grpo", tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    (tmp_path / "run" / "samples.jsonl").write_text("")
    with pytest.raises(RunError, match=r"samples.jsonl, found 0: records were lost"):
        train("grpo", world, tmp_path / "run")
