import importlib
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoConfig

from speed.shapes import SHAPES
from tests.model import tiny
from tests.train.forests import tiny_policy
from visreason.errors import UsageError
from visreason.model import parts
from visreason.model.adapters import add_lora
from visreason.model.load import load
from visreason.recipe import fill
from visreason.train import memory, sharding, trial
from visreason.train.precision import precision
from visreason.train.settings import Reinforcement, Training

RECIPES = Path(__file__).parents[2] / "recipes"
SYSTEMS = {
    "grpo/awaker": 7, "grpo/r1_onevision": 8, "grpo/wethink": 8, "sft/r1_onevision": 8, "sft/virgo_7b": 8,
    "sft/virgo_72b": 64, "sft/one_gpu": 1, "reward_model/skywork": 8, "mpo/internvl": 8,
}  # fmt: skip
"""Recipes of the five systems, and the GPUs that their comments name."""
TRAINED = sorted(
    str(path.relative_to(RECIPES).with_suffix(""))
    for verb in ("sft", "reward_model", "grpo", "mpo")
    for path in RECIPES.glob(f"{verb}/*.yaml")
    if "smoke" not in path.stem
)
"""Every recipe that trains: those of no system are planned for a 7B on 8 GPUs."""
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


def shape(path):
    return SHAPES.get(path, SHAPES[RUNS_OF_OTHERS])()


def planned(name):
    recipe, gpus = read(name), SYSTEMS.get(name, 8)
    rewards = memory.of_rewards(recipe, shape)
    return memory.need(shape(recipe.model), recipe, gpus, recipe.shard_over or gpus, CARD, rewards)


@pytest.mark.parametrize("name", TRAINED)
def test_a_recipe_that_trains_fits_its_hardware_and_says_so(name):
    found = planned(name)
    assert found.total < CARD
    text = (RECIPES / f"{name}.yaml").read_text()
    assert f"{found.total / memory.GB:.1f} in all" in text
    more = ("Published", "Not published", "Expected") if name in SYSTEMS else ()
    for word in ("Hardware", "Memory plan", *more):
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


def test_adapters_are_counted_as_they_are_made():
    policy = tiny_policy()
    lora = settings(lora_rank=3, lora_parts=("vision", "language"))
    found = memory.need(policy.model.config, lora)
    add_lora(policy, 3, 8, ("vision", "language"))
    trained = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    assert found.gradients == 4 * trained


def reinforced(**changes):
    return Reinforcement(model="m", data="d", **changes)


def test_a_sampler_that_runs_ahead_is_there_beside_the_activations():
    config, beside = SHAPES[RUNS_OF_OTHERS](), {"engine": "vllm", "memory_share": 0.5}
    turns = memory.need(config, reinforced(**beside), there=CARD)
    ahead = memory.need(config, reinforced(**beside, overlap=True), there=CARD)
    assert ahead.total - turns.total == pytest.approx(min(turns.activations, CARD / 2))


def test_models_that_reward_are_counted_where_they_are_in_this_process():
    one = sum(memory.parameter_sizes(SHAPES[RUNS_OF_OTHERS]()).values())
    counted = {
        "correct": 0, "learned:http://host:1": 0, "judge:http://host/v1#m": 0, "judge:vllm:a": 0,
        "learned:a": 2 * one, "judge:hf:a": 2 * one, "judge:a": 2 * one,
    }  # fmt: skip
    for name, expected in counted.items():
        asked = reinforced(rewards={name: 1}, precision="bfloat16")
        assert memory.of_rewards(asked, lambda _: SHAPES[RUNS_OF_OTHERS]()) == expected, name


def test_a_prompt_and_completion_over_the_budget_are_the_longest():
    config = SHAPES[RUNS_OF_OTHERS]()
    long, short = (
        memory.need(config, reinforced(max_prompt_tokens=n, micro_batch_tokens=4096)).activations
        for n in (8192, 512)
    )
    assert long > 2 * short


def test_a_frozen_tower_keeps_no_activations():
    config = SHAPES[RUNS_OF_OTHERS]()
    frozen, adapted, whole = (
        memory.need(config, settings(**changes)).activations
        for changes in ({"freeze": ("vision",)}, {"lora_rank": 4}, {})
    )
    assert frozen == adapted < whole


def test_the_words_stay_gathered_where_weights_are_spread():
    config = SHAPES[RUNS_OF_OTHERS]()
    words = config.get_text_config().vocab_size * config.get_text_config().hidden_size
    for name, width in (("float32", 4), ("bfloat16", 2)):
        assert memory.need(config, settings(precision=name), 64).working > 2 * width * words


def test_the_machines_memory_is_that_of_its_own_processes(monkeypatch):
    whole = memory.available("cpu")
    monkeypatch.setattr(sharding, "processes", lambda: 64)
    assert memory.available("cpu") == whole
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert memory.available("cpu") == whole / 8


@pytest.mark.parametrize(
    "changes", [{"optimizer": "adamw8bit"}, {"optimizer": "muon"}, {"lora_rank": 8, "quantize": "4bit"}]
)
def test_what_would_be_refused_is_not_proposed(changes):
    config = SHAPES[RUNS_OF_OTHERS]()
    plain, other = (memory.ways(memory.need(config, s), s) for s in (settings(), settings(**changes)))
    for word in ("torchrun", "offload"):
        assert word in plain
        assert word not in other


def test_adapters_of_a_7b_stand_on_a_base_of_two_bytes():
    """Embeddings alone stay in float32: 7.75 of 8.29 billion numbers take two bytes."""
    config = SHAPES[RUNS_OF_OTHERS]()
    half, whole = (memory.need(config, settings(lora_rank=64, precision=p)) for p in ("bfloat16", "float32"))
    assert half.weights / memory.GB == pytest.approx(2 * 8.29 + 2 * 0.545, rel=0.01)
    assert whole.weights / memory.GB == pytest.approx(4 * 8.29, rel=0.01)
    assert half.counted + half.working < 20e9


def test_frozen_parts_and_the_reference_are_held_in_two_bytes():
    config = SHAPES[RUNS_OF_OTHERS]()
    sizes = memory.parameter_sizes(config)
    whole, frozen = (
        memory.need(config, reinforced(kl=0.1, precision="bfloat16", freeze=f)) for f in ((), ("vision",))
    )
    assert whole.weights - frozen.weights == pytest.approx(2 * sizes["vision"], rel=0.01)
    assert frozen.reference / memory.GB == pytest.approx(2 * 8.29 + 2 * 0.545, rel=0.01)


@pytest.mark.parametrize("changes", [{"freeze": ("vision",)}, {"lora_rank": 2}, {}])
def test_what_is_held_is_what_the_plan_counts(changes, world):
    asked = Training(model="m", data="d", device="cpu", precision="bfloat16", **changes)
    frozen = parts.PARTS if asked.lora_rank else asked.freeze
    policy = load(str(world / "small"), device="cpu", autocast=True, frozen=frozen)
    held = sum(p.nbytes for p in policy.model.parameters())
    assert memory.need(policy.model.config, asked).weights == held


def test_precision_is_bfloat16_where_the_gpu_has_it(monkeypatch):
    auto = settings()
    assert precision(auto) == "float32"
    assert precision(settings(precision="bfloat16")) == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated, has=has: has)
        assert precision(auto) == ("bfloat16" if has else "float32")
        assert precision(settings(precision="float32")) == "float32"
        assert precision(settings(device="cpu")) == "float32"


def test_a_plan_that_can_not_fit_a_gpu_stops_and_names_the_fields(monkeypatch, world):
    asked = Training(model="m", data="d")
    need = memory.need(shape_of(world), asked)
    monkeypatch.setattr(memory, "on_gpu", lambda device: device != "cpu")
    monkeypatch.setattr(memory, "halves", lambda settings: False)
    monkeypatch.setattr(memory, "available", lambda device: need.counted - 1)
    with pytest.raises(UsageError, match="expected weights, gradients and optimizer within the GPU's") as e:
        memory.plan(str(world / "small"), asked)
    assert "lora_rank=64" in str(e.value)
    assert "to make it fit" in memory.plan(str(world / "small"), asked.model_copy(update={"device": "cpu"}))
    monkeypatch.setattr(memory, "available", lambda device: need.counted + 1)
    assert "to make it fit" in memory.plan(str(world / "small"), asked)


def shape_of(world):
    return AutoConfig.from_pretrained(world / "small")


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


def test_pictures_are_noted_where_they_take_much_of_the_machines_memory(monkeypatch, world):
    held = (1 << 30) + 2 * 4 * 8192 * 4 * 3 * 2 * 14 * 14
    for there, expected in (
        (9 * held, f"{held / 1e9:.2f} of the CPU's {9 * held / 1e9:.2f} GB"),
        (11 * held, None),
    ):
        monkeypatch.setattr(memory, "available", lambda device, there=there: there)
        rows = memory.plan(str(world / "model"), settings(max_prompt_tokens=8192))
        assert rows.get("pictures, at most") == expected


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
        trial.dry_run(policy, prompt, branch, budget)
    assert tried == [8, 40]


def test_a_dry_run_learns_nothing():
    policy = tiny_policy()
    before = [p.clone() for p in policy.model.parameters()]
    trial.dry_run(policy, tiny.prompt(policy.model, [(4, 6)], 5, 1), 4, settings())
    assert all(p.grad is None for p in policy.model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


@pytest.mark.parametrize(("chosen", "each"), [("adamw", 8), ("adamw8bit", 2)])
def test_a_dry_run_has_the_optimizers_moments_beside(chosen, each):
    policy = tiny_policy()
    policy.model.lm_head.weight.requires_grad_(False)
    trained = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    assert sum(t.nbytes for t in trial.moments(policy, settings(optimizer=chosen))) == each * trained
