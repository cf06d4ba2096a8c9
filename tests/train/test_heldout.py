"""Held-out data is looked at while training, never learned, and the best step on it is kept."""

import json
import math
import os

import pytest
import torch

from tests.model.world import STYLE
from tests.train.pairs import drawn_pairs
from tests.train.rewards import first_even
from tests.train.test_resume import assert_alike, killed, train, words
from visreason import cli, store
from visreason.data.examples import read_examples
from visreason.engine import Sampling
from visreason.engine.hf import HF
from visreason.errors import DataError
from visreason.model.forest import plant
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.record import Completion, Problem, Sample, Score
from visreason.store import checkpoints, manifest, read_records, write_records
from visreason.train import checkpoint, grpo, heldout, loop
from visreason.train.mpo import plant_pairs
from visreason.train.settings import Reinforcement, Training
from visreason.train.sft import plant_examples

VERBS = ("sft", "mpo", "grpo")
LOOKS = {"heldout_every": 2, "keep": 1}


@pytest.fixture(scope="module")
def files(world, tmp_path_factory):
    """Learned and held-out data of every verb, apart by their problems."""
    folder = tmp_path_factory.mktemp("apart")
    pairs = drawn_pairs(world)
    write_records(folder / "learned.jsonl", pairs[4:])
    write_records(folder / "held.jsonl", pairs[:4])
    drawn = {"data": str(world / "train.jsonl"), "heldout": str(world / "heldout.jsonl")}
    paired = {"data": str(folder / "learned.jsonl"), "heldout": str(folder / "held.jsonl")}
    return {"sft": drawn, "grpo": drawn, "mpo": paired}


@pytest.fixture(scope="module")
def looked(world, files, tmp_path_factory):
    """A run of each verb with held-out data."""
    folder = tmp_path_factory.mktemp("looked")
    for verb in VERBS:
        train(verb, world, folder / verb, **files[verb], **LOOKS)
    return folder


def rows_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("verb", VERBS)
def test_held_out_data_is_looked_at_and_the_best_step_is_kept(verb, looked):
    rows = [r for r in rows_of(looked / verb) if any(name.startswith("heldout/") for name in r)]
    assert [r["step"] for r in rows] == [1, 2, 4, 5]
    goodness = [r["heldout/reward"] if verb == "grpo" else -r["heldout/loss"] for r in rows]
    step = rows[goodness.index(max(goodness))]["step"]
    best = manifest(looked / verb)["summary"]["best"]
    assert best["step"] == step
    kept = {checkpoint.place(looked / verb, s) for s in (step, 5) if s > 1}
    assert set(checkpoints(looked / verb)) == kept
    assert best.get("checkpoint") == (None if step == 1 else f"checkpoint/step_{step:06d}")


def test_the_figure_of_sft_is_the_cross_entropy_under_the_weights_of_its_step(looked, files):
    last = rows_of(looked / "sft")[-1]
    policy = load(str(checkpoints(looked / "sft")[-1]), device="cpu")
    examples = list(read_examples(files["sft"]["heldout"], style(STYLE), []))
    with torch.no_grad():
        logps = torch.cat(
            [policy.logps(plant([t])).logps_S for t in plant_examples(policy, examples, style(STYLE))]
        )
    assert last["heldout/loss"] == pytest.approx(-logps.mean().item(), abs=1e-4)


def test_the_figures_of_mpo_compare_the_weights_of_their_step_with_the_first(looked, world):
    last = rows_of(looked / "mpo")[-1]
    sums = []
    for path in (world / "small", checkpoints(looked / "mpo")[-1]):
        policy = load(str(path), device="cpu")
        with torch.no_grad():
            trees = plant_pairs(policy, drawn_pairs(world)[:4], style(STYLE))
            found = [policy.logps(plant([t])).logps_S for t in trees]
        lengths = [[len(b.ids) for b in t.branches] for t in trees]
        sums.append([[x.sum().item() for x in f.split(n)] for f, n in zip(found, lengths, strict=True)])
    gaps = [(c - c0) - (r - r0) for (c0, r0), (c, r) in zip(*sums, strict=True)]
    assert last["heldout/accuracy"] == sum(g > 0 for g in gaps) / 4
    expected = sum(math.log1p(math.exp(-0.1 * g)) for g in gaps) / 4
    assert last["heldout/loss"] == pytest.approx(expected, abs=1e-4)


def test_the_figures_of_grpo_are_those_of_greedy_answers(looked, world):
    last = rows_of(looked / "grpo")[-1]
    policy = load(str(checkpoints(looked / "grpo")[-1]), device="cpu")
    held = list(read_records(world / "heldout.jsonl", Problem))
    asked = [messages(p, style(STYLE)) for p in held]
    answers = HF(policy).generate(asked, Sampling(1, 0.0, max_tokens=6))
    scores = first_even([Sample(p, a[0], Score(0.0)) for p, a in zip(held, answers, strict=True)])
    assert last["heldout/reward"] == pytest.approx(sum(s.value for s in scores) / len(held))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("late", [2, 3, 5])
def test_a_killed_run_with_held_out_data_ends_as_one_never_killed(verb, late, looked, world, files, tmp_path):
    late = 2 * late - 1 if verb == "grpo" else late  # two updates a step
    killed(late, verb, world, tmp_path / "killed", **files[verb], **LOOKS)
    assert_alike(tmp_path / "killed", looked / verb)


def test_a_first_step_that_none_betters_is_not_saved_and_that_is_said(looked, capsys):
    made = object.__new__(loop.Loop)
    made.best = None
    given = [
        made._betters({"step": s, "heldout/loss": x})
        for s, x in ((1, 2.0), (2, 2.5), (4, 2.0), (6, math.nan))
    ]
    assert given == [False] * 4
    run = store.Run(looked / "nowhere", "sft", {}, False, os.dup(0))
    assert heldout.best(run, made.best) == {"best": {"step": 1, "heldout/loss": 2.0}}
    assert "no step was better than the first (heldout/loss 2)" in capsys.readouterr().err
    assert made._betters({"step": 5, "heldout/loss": 1.0})


def test_the_best_checkpoint_stays_while_later_ones_go(tmp_path):
    for step in (10, 20, 30, 40):
        checkpoint.place(tmp_path, step).mkdir(parents=True)
    checkpoint.prune(tmp_path, 2, 10)
    assert [p.name for p in checkpoints(tmp_path)] == ["step_000010", "step_000030", "step_000040"]
    checkpoint.prune(tmp_path, 1, 40)
    assert [p.name for p in checkpoints(tmp_path)] == ["step_000040"]


def test_a_rollout_under_way_is_waited_for_before_the_engine_is_asked(looked, world, monkeypatch):
    """With overlap the engine answers the next step's problems meanwhile, with the weights of the step before."""
    order = []

    class Ahead:
        def result(self):
            order.append("rollout")

    settings = grpo.Reinforcement(model="m", data="d", engine="vllm", overlap=True, heldout="h")
    problem = next(iter(read_records(world / "heldout.jsonl", Problem)))
    made = grpo.GRPO(None, None, [problem], style(STYLE), None, settings, sync=lambda: order.append("sync") or {},
                     rest=lambda: order.append("rest"), heldout=[problem])  # fmt: skip
    made.ahead = Ahead()
    monkeypatch.setattr(made, "_answered", lambda few, sampling: order.append("asked") or ([], 0.0))
    made.look()
    assert order == ["rollout", "sync", "asked"]


def test_data_that_is_all_held_out_is_refused(world, tmp_path):
    data = str(world / "train.jsonl")
    with pytest.raises(DataError, match="found all 24 of them held out"):
        train("sft", world, tmp_path / "run", data=data, heldout=data)


def test_held_out_data_that_is_none_is_refused_before_the_model_is_read(world, tmp_path):
    for data, where, message in (
        ("nowhere.jsonl", {}, "nowhere.jsonl"),
        (str(world / "heldout.jsonl"), {"level": 99}, "expected held-out problems in"),
    ):
        fields = {"data": str(world / "train.jsonl"), "model": str(tmp_path), "heldout": data, "where": where}
        with pytest.raises(DataError, match=message):
            train("sft", world, tmp_path / "run", **fields)


def test_looks_without_held_out_data_are_refused():
    for name in ("heldout_every", "heldout_limit"):
        with pytest.raises(ValueError, match=rf"{name} has no effect without heldout=\.\.\."):
            Training(model="m", data="d", **{name: 7})


def test_the_end_says_which_step_was_best(world, files, tmp_path, capsys):
    fields = words("sft", world, **files["sft"], **LOOKS, limit=4, steps=2)
    assert cli.main(["sft", f"out={tmp_path / 'run'}", *(f"{k}={v}" for k, v in fields.items())]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "held out │ 12, 12 looked at every 2 steps" in printed.replace("|", "│")
    assert "best on held-out data:" in printed
    assert "heldout/loss" in printed


def test_answers_that_an_engine_failed_to_give_are_left_out_of_the_figures(drawn):
    class Failing:
        name, device = "failing", "cpu"

        def generate(self, conversations, sampling):
            last = len(conversations) - 1
            return [
                [Completion("x", finish="error" if i == last else "stop")] for i in range(len(conversations))
            ]

    def reward(samples):
        failed = {True: Score(0.0, reason="errored"), False: Score(1.0, reason="exact")}
        return [failed[x.completion.finish == "error"] for x in samples]

    settings = Reinforcement(model="m", data="d", heldout="h")
    made = grpo.GRPO(None, Failing(), drawn, style(STYLE), reward, settings, heldout=drawn[:3])
    assert made.look() == {"heldout/reward": 1.0, "heldout/accuracy": 1.0, "heldout_errored": 1}
