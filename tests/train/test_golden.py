"""Ten steps of each objective against golden.json. To write it anew after a change that is meant:

VISREASON_GOLDEN=write python -m pytest tests/train/test_golden.py
"""

import json
import os
from pathlib import Path

import pytest
import torch

from tests.model.world import STYLE
from visreason.verbs import grpo, sft

GOLDEN = Path(__file__).with_name("golden.json")
COMMON = {"style": STYLE, "steps": 10, "problems_per_step": 3, "device": "cpu", "seed": 1}
KEPT = {
    "sft": ("loss", "entropy", "grad_norm", "completion_length", "tokens", "lr"),
    "grpo": (
        "loss",
        "reward",
        "reward_std",
        "entropy",
        "kl",
        "clip_share",
        "grad_norm",
        "completion_length",
        "lr",
    ),
}


def numbers(out, verb):
    """Each kept metric as the list of its ten values."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {name: [row[name] for row in rows] for name in KEPT[verb]}


@pytest.fixture(scope="module")
def found(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("golden")
    data = str(world / "train.jsonl")
    sft.run(sft.Recipe(model=str(world / "model"), data=data, lr=2e-3, **COMMON), out / "sft")
    recipe = grpo.Recipe(
        model=str(out / "sft"), data=data, lr=2e-4, completions_per_problem=4, max_completion_tokens=12,
        rewards={"tests.train.rewards:even": 1.0}, kl=0.05, minibatches=2, clip_high=0.28, **COMMON,
    )  # fmt: skip
    grpo.run(recipe, out / "grpo")
    return {verb: numbers(out / verb, verb) for verb in KEPT}


def same_random_numbers():
    """Whether torch draws as it did when the file was written: with MKL it takes MKL's exponential numbers."""
    return torch.backends.mkl.is_available()


@pytest.mark.parametrize("verb", KEPT)
def test_ten_steps_give_the_golden_numbers(found, verb):
    if os.environ.get("VISREASON_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    if verb == "grpo" and not same_random_numbers():
        pytest.skip("the golden samples were drawn by a torch with MKL, this one has none")
    golden = json.loads(GOLDEN.read_text())[verb]
    assert found[verb].keys() == golden.keys()
    for name, values in golden.items():
        assert found[verb][name] == pytest.approx(values, rel=1e-3, abs=1e-5), name


def test_what_is_golden_is_learning(found):
    assert found["sft"]["loss"][-1] < 0.8 * found["sft"]["loss"][0]
    rewards = found["grpo"]["reward"]
    assert sum(rewards[-3:]) > sum(rewards[:3])
    assert found["grpo"]["kl"][0] < found["grpo"]["kl"][-1]
