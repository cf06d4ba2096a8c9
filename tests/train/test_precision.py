"""What is not trained is held in bfloat16 where autocast computes so; nothing that is computed changes by it."""

import json

import pytest
import torch

from tests.model.adapters import adapted
from tests.model.world import STYLE
from tests.train.test_resume import Killed, assert_alike, die, killed, on_call, train, words
from visreason.engine import Sampling
from visreason.engine.hf import HF
from visreason.errors import RunError
from visreason.model import parts
from visreason.model.forest import Branch, Tree, plant
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.recipe import fill
from visreason.store import checkpoints
from visreason.train import loop, update
from visreason.verbs import sft


@pytest.fixture
def planted(policy, drawn):
    prompt = policy.encoder.prompt(messages(drawn[0], style(STYLE)))
    return plant([Tree(prompt, tuple(Branch(torch.arange(20, 20 + n), torch.ones(n)) for n in (3, 6)))])


def half(world, frozen):
    return load(str(world / "small"), device="cpu", autocast=True, frozen=frozen)


def test_a_base_held_in_bfloat16_answers_to_the_bit_as_before(world, planted, drawn):
    before, after = half(world, ()), half(world, parts.PARTS)
    assert {p.dtype for _, p in parts.linear(after.model) for p in p.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        assert torch.equal(before.logps(planted).logps_S, after.logps(planted).logps_S)
    asked = [messages(p, style(STYLE)) for p in drawn[:2]]
    one, other = (HF(p).generate(asked, Sampling(2, max_tokens=6, seed=1)) for p in (before, after))
    assert one == other


def test_the_parts_that_learn_get_the_gradients_of_before(world, planted):
    found = []
    for frozen in ((), ("vision",)):
        policy = half(world, frozen)
        parts.freeze(policy, ("vision",))
        policy.logps(planted).logps_S.sum().backward()
        assert {p.dtype for p in policy.model.parameters() if p.requires_grad} == {torch.float32}
        found.append({n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(g, found[1][n]) for n, g in found[0].items())


def test_adapters_over_a_half_base_are_whole_and_fold_in_as_over_a_whole_one(world, planted):
    before, after = (adapted(half(world, frozen), 2, 0.1) for frozen in ((), parts.PARTS))
    assert {p.dtype for p in after.model.parameters() if p.requires_grad} == {torch.float32}
    assert torch.equal(before.logps(planted).logps_S, after.logps(planted).logps_S)
    one, other = before.merged_weights(), after.merged_weights()
    assert one.keys() == other.keys()
    assert all(
        torch.allclose(w, other[n], rtol=2**-7, atol=2**-7 * w.abs().max().item()) for n, w in one.items()
    )


def test_a_checkpoint_with_frozen_parts_is_one_of_float32(world, tmp_path):
    train("sft", world, tmp_path / "run", precision="bfloat16", freeze=("vision",))
    saved = checkpoints(tmp_path / "run")[-1]
    assert json.loads((saved / "config.json").read_text())["dtype"] == "float32"
    again, start = load(str(saved), dtype="auto", device="cpu"), load(str(world / "small"), device="cpu")
    assert {p.dtype for p in again.model.parameters()} == {torch.float32}
    named = dict(start.model.named_parameters())
    for name, p in again.model.named_parameters():
        if parts.part_of(name) == "vision":
            assert torch.allclose(p, named[name], rtol=2**-8), name


@pytest.mark.parametrize(
    ("verb", "changes"),
    [
        ("sft", {"freeze": ("vision",)}),
        ("grpo", {"lora_rank": 2}),
        ("grpo", {"freeze": ("vision", "merger")}),
    ],
)
def test_a_run_in_bfloat16_that_is_killed_ends_as_one_never_killed(verb, changes, world, tmp_path):
    changes = {"precision": "bfloat16", **changes}
    train(verb, world, tmp_path / "whole", **changes)
    killed(8 if verb == "grpo" else 4, verb, world, tmp_path / "killed", **changes)
    assert_alike(tmp_path / "killed", tmp_path / "whole")


def test_a_run_on_a_cpu_computes_in_float32_and_says_so(world, tmp_path, capfd):
    shown = [f"{k}={v}" for k, v in words("sft", world, steps=1).items()]
    sft.run(fill(sft.Recipe, [*shown, f"out={tmp_path}"]), tmp_path / "auto")
    sft.run(fill(sft.Recipe, [*shown, "precision=float32"]), tmp_path / "named")
    assert "float32 by default, cpu" in capfd.readouterr().err
    files = [next(checkpoints(tmp_path / n)[-1].glob("*.safetensors")) for n in ("auto", "named")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_goes_on_in_the_precision_in_which_it_began(world, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "apply", on_call(4, update.apply, before=die))
        with pytest.raises(Killed):
            train("sft", world, tmp_path / "run")
    monkeypatch.setattr(loop, "precision", lambda settings: "bfloat16")  # as on another device
    with pytest.raises(
        RunError, match=r"expected to go on in float32, in which .* was trained, found bfloat16"
    ):
        train("sft", world, tmp_path / "run")
