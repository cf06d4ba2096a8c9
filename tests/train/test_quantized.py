"""A base in 4 bits under adapters, and moments in 8 bits, both by bitsandbytes."""

import sys

import pytest
import torch

from tests.model.adapters import adapted
from tests.model.world import STYLE
from tests.train.test_resume import assert_alike, killed, train
from visreason.engine import Sampling
from visreason.engine.hf import HF
from visreason.errors import UsageError
from visreason.model.check import self_check
from visreason.model.forest import Branch, Tree, plant
from visreason.model.four_bits import full_width
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.recipe import fill
from visreason.train import optimizer, sharding
from visreason.train.settings import Reinforcement, Training


def settings(**changes):
    return Training(model="m", data="d", **changes)


@pytest.fixture
def four(world):
    """The world's model with adapters that are not zero, over a base in 4 bits."""
    pytest.importorskip("bitsandbytes")
    return adapted(load(str(world / "model"), device="cpu", quantised=True), 4, 0.05)


def small(policy):
    return [m for m in policy.model.modules() if type(m).__module__.startswith("bitsandbytes")]


def test_linear_layers_but_the_head_take_four_bits_and_are_near(world, four):
    whole = dict(load(str(world / "model"), device="cpu").model.named_parameters())
    assert small(four)
    seen = 0
    for name, p in four.base.named_parameters():
        if "lora_" in name:
            continue
        found, expected = full_width(p).detach(), whole[name.replace(".base_layer.", ".")]
        if hasattr(p, "quant_state"):
            seen += p.numel() * p.element_size()
            assert 0 < (found - expected).norm() / expected.norm() < 0.15
        else:
            assert torch.equal(found, expected)
    linear = sum(m.in_features * m.out_features for m in small(four))
    assert seen == linear / 2
    assert four.base.get_output_embeddings() not in small(four)


@torch.no_grad()
def test_a_forest_over_four_bits_is_what_its_merged_weights_give(world, four, drawn):
    prompt = four.encoder.prompt(messages(drawn[0], style(STYLE)))
    tree = Tree(prompt, tuple(Branch(torch.arange(20, 20 + n), torch.ones(n)) for n in (3, 6)))
    assert self_check(four, tree) < 1e-4
    merged = load(str(world / "model"), device="cpu")
    missing = merged.base.load_state_dict(four.merged_weights(), strict=False)
    assert not missing.missing_keys
    assert not missing.unexpected_keys
    found, expected = (p.logps(plant([tree])).logps_S for p in (four, merged))
    assert torch.allclose(found, expected, atol=1e-4)


def test_answers_over_four_bits_have_the_trainers_log_probs(four, drawn):
    asked = [messages(drawn[0], style(STYLE))]
    ((answer,),) = HF(four).generate(asked, Sampling(1, max_tokens=12, seed=1))
    ids = torch.tensor(answer.token_ids)
    tree = Tree(four.encoder.prompt(asked[0]), (Branch(ids, torch.ones(len(ids))),))
    with torch.no_grad():
        scored = four.logps(plant([tree])).logps_S
    assert (scored - torch.tensor(answer.logps)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("verb", "changes"),
    [
        ("sft", {"optimizer": "adamw8bit"}),
        ("sft", {"lora_rank": 2, "quantize": "4bit", "optimizer": "adamw8bit", "model": "model"}),
        ("grpo", {"lora_rank": 2, "quantize": "4bit", "precision": "bfloat16"}),
        ("reward_model", {"lora_rank": 2, "quantize": "4bit"}),
    ],
)
def test_a_quantised_run_that_is_killed_ends_as_one_never_killed(verb, changes, world, tmp_path):
    pytest.importorskip("bitsandbytes")
    if "model" in changes:  # the small one has no tensor that is large enough for 8 bits
        changes = {**changes, "model": str(world / "model")}
    train(verb, world, tmp_path / "whole", **changes)
    killed(8 if verb == "grpo" else 4, verb, world, tmp_path / "killed", **changes)
    assert_alike(tmp_path / "killed", tmp_path / "whole")


def test_moments_in_eight_bits_step_almost_as_whole_ones():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    start = torch.randn(64, 128, generator=torch.Generator().manual_seed(1))
    eight, whole = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps = bitsandbytes.optim.AdamW8bit([eight], lr=0.01), torch.optim.AdamW([whole], lr=0.01)
    for i in range(10):
        gradient = torch.randn(64, 128, generator=torch.Generator().manual_seed(10 + i))
        eight.grad, whole.grad = gradient.clone(), gradient.clone()
        for each in steps:
            each.step()
    moved = (whole - start).norm()
    assert 0 < (eight - whole).norm() < 0.1 * moved
    assert steps[0].state[eight]["state1"].dtype == torch.uint8


def test_the_optimizer_of_eight_bits_keeps_the_shares_and_decays_no_vector(policy):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    made = optimizer.build(policy, settings(optimizer="adamw8bit", weight_decay=0.1))
    assert isinstance(made, bitsandbytes.optim.AdamW8bit)
    assert {p.ndim > 1: g["weight_decay"] for g in made.param_groups for p in g["params"]} == {
        True: 0.1,
        False: 0.0,
    }


def test_without_bitsandbytes_a_sentence_says_what_to_install(monkeypatch, policy, world):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    monkeypatch.setattr("visreason.model.four_bits.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"install visreason\[quantized\], or take adamw"):
        optimizer.build(policy, settings(optimizer="adamw8bit"))
    with pytest.raises(UsageError, match=r"install visreason\[quantized\]"):
        load(str(world / "small"), device="cpu", quantised=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamw8bit"}, "optimizer=adamw8bit is for one GPU"),
        ({"quantize": "4bit", "lora_rank": 2}, "quantize=4bit is for one GPU"),
        ({"optimizer": "muon"}, "take adamw"),
        ({"device": "cuda:1"}, "of which each process takes its own, found cuda:1"),
        ({"engine": "vllm", "tensor_parallel": 3}, "tensor_parallel to divide the 2 processes"),
    ],
)
def test_what_needs_a_model_in_one_piece_is_refused_under_torchrun(changes, message, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    settings = Reinforcement(model="m", data="d", **changes)
    with pytest.raises(UsageError, match=message), sharding.meeting(settings):
        pass


def test_four_bits_without_adapters_are_refused():
    with pytest.raises(UsageError, match="quantize has no effect without lora_rank above 0"):
        fill(Training, ["model=m", "data=d", "quantize=4bit"])
