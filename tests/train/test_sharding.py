import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.model import tiny
from tests.train.forests import tiny_policy
from tests.train.test_resume import TIMING, train, words
from visreason.model.forest import Branch, Tree, plant
from visreason.model.load import shares_trunk
from visreason.model.value_head import ValueHead
from visreason.record import Problem
from visreason.store import checkpoints, read_records, write_records
from visreason.train import checkpoint, sharding, update
from visreason.train.settings import Training
from visreason.train.sharding import batches, ranks
from visreason.verbs import merge

ROOT = Path(__file__).parents[2]
UNEVEN = {"micro_batch_tokens": 150, "problems_per_step": 3, "steps": 4}
VERBS = ("sft", "grpo", "mpo", "reward_model")


def test_dealt_hands_hold_everything_once_and_differ_by_less_than_the_largest():
    sizes = [7, 1, 30, 12, 12, 5, 9, 28]
    hands = sharding.deal(sizes, 3)
    assert sorted(i for hand in hands for i in hand) == list(range(len(sizes)))
    totals = [sum(sizes[i] for i in hand) for hand in hands]
    assert max(totals) - min(totals) <= max(sizes)
    assert all(hand == sorted(hand) for hand in hands)


def test_one_process_plants_no_filler():
    policy = tiny_policy()
    made, _ = sharding.micro_batches(policy, tiny.forest_trees(policy.model), 40)
    assert len(made) > 1
    assert all(b.filler is None and b.trees for b in made)


@pytest.mark.parametrize("name", tiny.CLASSES)
@pytest.mark.parametrize("image", [True, False])
def test_a_filler_changes_no_value_and_no_gradient(name, image):
    policy = tiny_policy(name)
    trees = tiny.forest_trees(policy.model)
    alone = policy.logps(plant(trees)).logps_S
    expected = torch.autograd.grad(alone.sum(), list(policy.model.parameters()), allow_unused=True)
    batch = sharding.MicroBatch(trees, batches._filler(policy, image))
    found = policy.logps(batch.planted(policy)).logps_S
    assert torch.allclose(batch.own(found), alone, atol=1e-5)
    value = batch.own(found).sum() + 0 * found[-1]
    gradients = torch.autograd.grad(value, list(policy.model.parameters()), allow_unused=True)
    assert all(
        torch.allclose(a, b, atol=1e-4) for a, b in zip(gradients, expected, strict=True) if b is not None
    )


@pytest.mark.parametrize("image", [True, False])
def test_a_filler_leaves_a_model_its_windows(image):
    policy = tiny_policy("windows")
    policy.share = shares_trunk(policy.model.config)
    assert not policy.share
    tree = tiny.forest_trees(policy.model)[2]
    batch = sharding.MicroBatch([tree], batches._filler(policy, image))
    found, alone = (policy.logps(f).logps_S for f in (batch.planted(policy), plant([tree])))
    assert torch.allclose(batch.own(found), alone, atol=1e-5)


def test_a_process_without_pictures_runs_one_beside_those_of_another(monkeypatch):
    policy = tiny_policy()
    seeing = [Tree(tiny.prompt(policy.model, [(4, 4)], 3, 1), (Branch(torch.tensor([5]), torch.ones(1)),))]
    blind = [
        Tree(tiny.prompt(policy.model, [], n, 1), (Branch(torch.tensor([5]), torch.ones(1)),)) for n in (4, 5)
    ]
    monkeypatch.setattr(ranks, "processes", lambda: 2)
    ran = []
    for rank in (0, 1):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        made, _ = sharding.micro_batches(policy, seeing + blind, 8)
        ran.append([(bool(b.trees), b.planted(policy).pixels is not None) for b in made])
    assert len(ran[0]) == len(ran[1]) == 2
    assert [sees for _, sees in ran[0]] == [sees for _, sees in ran[1]] == [True, False]
    assert sum(trees for trees, _ in ran[0] + ran[1]) == 3


def read_by(trees, read):
    """The trees with pictures that note their tree's number when they are read."""

    def noting(i, pixels):
        return lambda: read.append(i) or pixels

    return [
        replace(t, prompt=replace(t.prompt, pixels=noting(i, t.prompt.pixels))) for i, t in enumerate(trees)
    ]


@pytest.mark.parametrize(("device", "ahead"), [("cpu", 0), ("cuda", 1)])
def test_a_process_reads_the_pictures_of_its_own_trees_as_they_come(device, ahead, monkeypatch):
    policy, read = tiny_policy(), []
    policy.device = torch.device(device)  # nothing is computed
    trees = [
        Tree(tiny.prompt(policy.model, [(4, 4)], n, n), (Branch(torch.tensor([5]), torch.ones(1)),))
        for n in range(3, 11)
    ]
    expected = {n: plant([t]).pixels for n, t in enumerate(trees)}
    monkeypatch.setattr(ranks, "processes", lambda: 2)
    own = []
    for rank in (0, 1):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        made, _ = sharding.micro_batches(policy, read_by(trees, read), 30)
        assert read == []
        assert len(made) >= 3
        for i, (_, forest) in enumerate(sharding.planted(policy, made)):
            seen = sum(len(b.trees) for b in made[:i])
            count = len(made[i].trees)
            assert torch.equal(forest.pixels, torch.cat([expected[n] for n in read[seen : seen + count]]))
            assert len(read) <= sum(len(b.trees) for b in made[: i + 1 + ahead])
        own.append(list(read))
        read.clear()
    assert sorted(own[0] + own[1]) == list(range(len(trees)))
    assert all(own)


def test_scores_are_dealt_to_the_processes_and_put_together_in_order(monkeypatch):
    policy = tiny_policy()
    policy.value_head = ValueHead(32, seed=0)
    trees, settings = tiny.forest_trees(policy.model), Training(model="m", data="d", micro_batch_tokens=40)
    expected = update.scores(policy, trees, settings)
    assert len(expected) == sum(len(t.branches) for t in trees)
    monkeypatch.setattr(ranks, "processes", lambda: 2)
    made = []
    for rank in (0, 1):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(
            ranks,
            "gather",
            lambda own: [own] if own == "" else made.append(own) or [[0.0] * len(expected)] * 2,
        )
        update.scores(policy, trees, settings)
    assert sum(map(len, made)) == len(expected)
    monkeypatch.setattr(ranks, "gather", lambda own: [own] if own == "" else made)
    assert update.scores(policy, trees, settings) == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def mixed(world, tmp_path_factory):
    """The drawn problems, every third without its picture."""
    problems = list(read_records(world / "train.jsonl", Problem))
    path = tmp_path_factory.mktemp("mixed") / "train.jsonl"
    write_records(
        path, [p if i % 3 else replace(p, id=f"{p.id}-text", images=()) for i, p in enumerate(problems)]
    )
    return path


def fields_of(verb, mixed, **changes):
    data = {} if verb in ("mpo", "reward_model") else {"data": str(mixed)}
    return UNEVEN | data | changes


def two_processes(verb, world, out, **changes):
    """The same run by two processes."""
    return by_torchrun(2, verb, world, out, **changes)


def by_torchrun(processes, verb, world, out, **changes):
    """What a run by as many processes as asked says."""
    fields = words(verb, world, **changes)
    shown = [f"{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in fields.items()]
    return torchrun(processes, "visreason", verb, f"out={out}", "--debug", *shown)


def torchrun(processes, module, *words_):
    """What a module says that torchrun starts."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", module, *words_]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def assert_close(found, expected):
    rows = [
        [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        for out in (found, expected)
    ]
    for one, other in zip(*rows, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - TIMING:
            assert one[name] == pytest.approx(other[name], abs=1e-5), name
    last = [checkpoints(out)[-1] for out in (found, expected)]
    for file in last[1].glob("*.safetensors"):
        weights, others = load_file(last[0] / file.name), load_file(file)
        assert weights.keys() == others.keys()
        assert max((weights[k] - others[k]).abs().max().item() for k in weights) < 1e-5
    heldout = [out / "heldout.jsonl" for out in (found, expected)]
    assert heldout[0].exists() == heldout[1].exists()
    if heldout[1].exists():
        rows = [[json.loads(line) for line in file.read_text().splitlines()] for file in heldout]
        assert rows[0] == [pytest.approx(row, abs=1e-5) for row in rows[1]]
    samples = [out / "samples.jsonl" for out in (found, expected)]
    assert samples[0].exists() == samples[1].exists()
    if samples[1].exists():
        assert len(samples[0].read_bytes().splitlines()) == len(samples[1].read_bytes().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_two_processes_give_what_one_gives(verb, world, mixed, tmp_path):
    held = {} if verb in ("mpo", "reward_model") else {"heldout": str(world / "heldout.jsonl")}
    fields = fields_of(verb, mixed, **held)
    said = two_processes(verb, world, tmp_path / "two", **fields)
    assert said.count("forest against one by one") == 1
    train(verb, world, tmp_path / "one", **fields)
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "changes"),
    [*((verb, {}) for verb in VERBS), ("sft", {"lora_rank": 2, "lora_parts": "[language,merger]"})],
)
def test_a_run_goes_on_with_two_processes_and_again_with_one(verb, changes, world, mixed, tmp_path):
    fields = fields_of(verb, mixed, steps=6, keep=3)
    parts = {"lora_parts": ("language", "merger")} if changes else {}
    train(verb, world, tmp_path / "one", **fields, **changes | parts)
    stopped(tmp_path / "one", tmp_path / "two", "step_000002")
    two_processes(verb, world, tmp_path / "two", **fields, **changes)
    assert_close(tmp_path / "two", tmp_path / "one")
    assert checkpoint.sharded(tmp_path / "two" / "checkpoint" / "step_000004")
    stopped(tmp_path / "two", tmp_path / "again", "step_000004")
    train(verb, world, tmp_path / "again", **fields, **changes | parts)
    assert_close(tmp_path / "again", tmp_path / "one")


def stopped(run, copy, last):
    """A copy of a run as it was after a checkpoint."""
    shutil.copytree(run, copy)
    (copy / "manifest.json").unlink()
    for folder in checkpoints(copy):
        if folder.name > last:
            shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sft", "grpo"])
@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_offloaded_learns_the_same(processes, verb, world, mixed, tmp_path):
    fields = fields_of(verb, mixed)
    by_torchrun(processes, verb, world, tmp_path / "offloaded", offload="true", **fields)
    train(verb, world, tmp_path / "whole", **fields)
    assert_close(tmp_path / "offloaded", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "changes"),
    [("sft", {}), ("reward_model", {"lora_rank": 2}), ("reward_model", {})],
)
def test_a_checkpoint_in_shards_becomes_a_model_by_merge(verb, changes, world, mixed, tmp_path):
    fields = fields_of(verb, mixed, **changes)
    two_processes(verb, world, tmp_path / "two", **fields)
    train(verb, world, tmp_path / "one", **fields)
    for step in ("step_000002", "step_000004"):
        folder = tmp_path / "two" / "checkpoint" / step
        merge.run(merge.Recipe(checkpoint=folder), tmp_path / step)
        found, expected = tmp_path / step / "checkpoint" / step, tmp_path / "one" / "checkpoint" / step
        names = {p.name for p in expected.iterdir()} - {checkpoint.STATE, checkpoint.FILES}
        assert {p.name for p in found.iterdir()} == names
        for file in expected.glob("*.safetensors"):
            weights, others = load_file(found / file.name), load_file(file)
            assert weights.keys() == others.keys()
            assert max((weights[k] - others[k]).abs().max().item() for k in weights) < 1e-5


@pytest.mark.slow
def test_every_process_finds_the_merged_weights_of_all(world):
    torchrun(2, "tests.train.written", str(world / "small"))


@pytest.mark.slow
def test_the_first_process_reads_and_all_hear_of_a_loss_that_is_not_finite(world, tmp_path):
    bare = shutil.copytree(world / "small", tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    torchrun(2, "tests.train.first", str(world / "small"), str(bare))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "changes"),
    [
        ("sft", {"checkpoint_activations": True}),
        ("grpo", {"checkpoint_activations": True, "lora_rank": 2}),
        ("reward_model", {"lora_rank": 2, "lora_parts": ("vision",)}),
    ],
)
def test_two_processes_that_recompute_or_adapt_give_what_one_gives(verb, changes, world, mixed, tmp_path):
    fields = fields_of(verb, mixed)
    shown = {k: json.dumps(v) for k, v in changes.items()}
    two_processes(verb, world, tmp_path / "two", **fields, **shown)
    train(verb, world, tmp_path / "one", **fields, **changes)
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
def test_two_copies_of_two_parts_give_what_one_process_gives(world, mixed, tmp_path):
    fields = fields_of("sft", mixed, steps=3)
    by_torchrun(4, "sft", world, tmp_path / "four", shard_over=2, **fields)
    train("sft", world, tmp_path / "one", **fields)
    assert_close(tmp_path / "four", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "changes"),
    [
        ("sft", {}),
        ("sft", {"freeze": ("vision",)}),
        ("sft", {"lora_rank": 2}),
        ("grpo", {"freeze": ("vision",)}),
    ],
)
def test_two_processes_in_bfloat16_learn_nearly_what_one_learns(verb, changes, world, mixed, tmp_path):
    """Of GRPO the first step alone: what the two sample later differs. What is not trained is held in half."""
    fields = fields_of(verb, mixed, precision="bfloat16", checkpoint_activations=True)
    shown = {k: json.dumps(v) for k, v in changes.items()}
    two_processes(verb, world, tmp_path / "two", **fields | {"checkpoint_activations": "true"}, **shown)
    train(verb, world, tmp_path / "one", **fields, **changes)
    name, steps = ("loss", fields["steps"]) if verb == "sft" else ("entropy", 1)
    found = [
        [json.loads(line)[name] for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("two", "one")
    ]
    assert found[0][:steps] == pytest.approx(found[1][:steps], rel=0.02)


@pytest.mark.slow
def test_one_of_two_processes_decodes_the_pictures(world, mixed, tmp_path, monkeypatch):
    monkeypatch.setenv("DECODED", str(tmp_path / "decoded"))
    fields = words("sft", world, **fields_of("sft", mixed, steps=1))
    torchrun(
        2, "tests.train.decoded", "sft", f"out={tmp_path / 'run'}", *(f"{k}={v}" for k, v in fields.items())
    )
    decoded = [line.split(maxsplit=1) for line in (tmp_path / "decoded").read_text().splitlines()]
    assert {rank for rank, _ in decoded} == {"0"}
    assert len({path for _, path in decoded}) == len(decoded) == 16
    assert not (tmp_path / "run" / "pictures.jsonl").exists()
