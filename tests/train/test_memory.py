import importlib
from pathlib import Path

import pytest
import torch
import yaml

from speed.shapes import SHAPES
from tests.model import tiny
from tests.train.forests import tiny_policy
from visreason.recipe import fill
from visreason.train import memory
from visreason.train.settings import Reinforcement, Training

RECIPES = Path(__file__).parents[2] / "recipes"
SYSTEMS = {
    "grpo/awaker": 7, "grpo/r1_onevision": 8, "grpo/wethink": 8, "sft/r1_onevision": 8, "sft/virgo_7b": 8,
    "sft/virgo_72b": 64, "sft/one_gpu": 1, "reward_model/skywork": 8, "mpo/internvl": 8,
}  # fmt: skip
"""Recipes of the five systems, and the GPUs that their comments name."""
CARD = 80e9
RUNS_OF_OTHERS = "Qwen/Qwen2.5-VL-7B-Instruct"


def read(name):
    verb = name.split("/")[0]
    module = importlib.import_module(f"visreason.verbs.{verb}")
    given = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    missing = [n for n, f in module.Recipe.model_fields.items() if f.is_required() and n not in given]
    return fill(module.Recipe, [str(RECIPES / f"{name}.yaml"), *(f"{n}=x" for n in missing)])


@pytest.mark.parametrize(
    "name",
    sorted(str(p.relative_to(RECIPES).with_suffix("")) for p in RECIPES.glob("*/*.yaml")),
)
def test_every_recipe_is_read(name):
    assert read(name).out in (None, Path("runs") / name) or "smoke" in name


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_fits_its_hardware_and_says_so(name):
    recipe, gpus = read(name), SYSTEMS[name]
    config = SHAPES.get(recipe.model, SHAPES[RUNS_OF_OTHERS])()
    found = memory.need(config, recipe, gpus, recipe.shard_over or gpus)
    assert found.total < CARD
    text = (RECIPES / f"{name}.yaml").read_text()
    assert f"{found.total / memory.GB:.1f} in all" in text
    for word in ("Published", "Not published", "Hardware", "Memory plan", "Expected"):
        assert f"# {word}" in text


@pytest.mark.parametrize(
    ("model", "billions"), [("Qwen/Qwen2.5-VL-7B-Instruct", 8.29), ("Qwen/Qwen2.5-VL-3B-Instruct", 3.75)]
)
def test_parameters_are_those_of_the_published_models(model, billions):
    assert sum(memory.parameter_sizes(SHAPES[model]()).values()) / 1e9 == pytest.approx(billions, abs=0.01)


def settings(**changes):
    return Training(model="m", data="d", micro_batch_tokens=64, **changes)


def test_weights_gradients_and_optimizer_of_a_tiny_model_are_exact():
    policy = tiny_policy()
    total = sum(p.numel() for p in policy.model.parameters())
    found = memory.need(policy.model.config, settings())
    assert (found.weights, found.gradients, found.optimizer) == (4 * total, 4 * total, 8 * total)
    assert found.reference == found.rollout == 0


def test_what_lowers_the_need_lowers_it():
    config = SHAPES[RUNS_OF_OTHERS]()

    def total(processes=1, **changes):
        changed = Reinforcement(model="m", data="d", **{"kl": 0.1} | changes)
        return memory.need(config, changed, processes).total

    most = total()
    for change in (
        {"checkpoint_activations": True},
        {"kl": 0.0},
        {"micro_batch_tokens": 4096},
        {"lora_rank": 16},
    ):
        assert total(**change) < most, change
    less = {"checkpoint_activations": True, "micro_batch_tokens": 4096}
    assert total(8, **less) < total(1, **less) / 2


def test_a_base_in_four_bits_and_moments_in_eight_are_counted():
    config = SHAPES[RUNS_OF_OTHERS]()
    whole, small = (
        memory.need(config, settings(lora_rank=16, quantize=q, optimizer=o))
        for q, o in (("none", "adamw"), ("4bit", "adamw8bit"))
    )
    assert small.weights / memory.GB == pytest.approx(
        4 * 1.09 + 0.516 * 7.2, rel=0.05
    )  # embedding and head whole
    assert whole.optimizer / small.optimizer == pytest.approx(4 / (1 + 4 / 256))


def test_what_is_offloaded_leaves_the_gpu():
    config = SHAPES[RUNS_OF_OTHERS]()
    found = memory.need(config, settings(offload=True), 8)
    whole = memory.need(config, settings(), 8)
    assert found.weights == found.gradients == found.optimizer == 0
    assert found.offloaded == whole.weights + whole.gradients + whole.optimizer
    assert found.total == pytest.approx(whole.total - found.offloaded)


def test_a_plan_over_the_machines_memory_is_said_as_well(monkeypatch, world):
    monkeypatch.setattr(memory, "available", lambda device: 1e6 if device == "cpu" else 1e12)
    rows = memory.plan(str(world / "model"), settings(offload=True))
    assert rows["in the CPU's memory instead"] == "0.04 GB"
    assert "to make it fit" in rows
    assert "to make it fit" not in memory.plan(str(world / "model"), settings())


def test_a_plan_over_the_memory_names_the_fields_to_change(monkeypatch, world):
    monkeypatch.setattr(memory, "available", lambda device: 1e6)
    rows = memory.plan(str(world / "small"), Training(model="m", data="d", device="cpu"))
    assert "checkpoint_activations=true" in str(rows["to make it fit"])


def test_a_dry_run_is_as_long_as_a_completion_that_exceeds_the_budget(monkeypatch):
    policy, tried = tiny_policy(), []
    seen = policy.learned
    monkeypatch.setattr(policy, "learned", lambda forest: tried.append(len(forest.branch_S)) or seen(forest))
    prompt = tiny.prompt(policy.model, [(4, 6)], 5, 1)
    budget = settings().model_copy(update={"micro_batch_tokens": len(prompt.ids) + 7})
    for branch in (4, 40):
        memory.dry_run(policy, prompt, branch, budget)
    assert tried == [8, 40]


def test_a_dry_run_learns_nothing():
    policy = tiny_policy()
    before = [p.clone() for p in policy.model.parameters()]
    memory.dry_run(policy, tiny.prompt(policy.model, [(4, 6)], 5, 1), 4, settings())
    assert all(p.grad is None for p in policy.model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))
