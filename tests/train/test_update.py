import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.model import tiny
from tests.model.test_forest import one_by_one
from tests.model.world import STYLE
from tests.train.forests import tiny_policy
from visreason.data.examples import Example
from visreason.errors import DataError, Tripwire
from visreason.model import adapters
from visreason.model import load as loading
from visreason.model.forest import Branch, Tree
from visreason.model.parts import freeze, part_of
from visreason.prompt import messages, style
from visreason.record import Completion
from visreason.train import losses, optimizer, setup, update
from visreason.train.pair_settings import RewardModelling
from visreason.train.settings import Training
from visreason.train.sft import plant_examples
from visreason.train.update import Update

PARTS = ("vision", "merger", "language")


def settings(**changes):
    return Training(model="m", data="d", **{"lr": 1e-3, **changes})


def named(trees):
    """The trees with completions called p0, p1, ... by their tree."""
    return [
        Tree(t.prompt, tuple(Branch(b.ids, b.weights, b.fields, f"p{i}") for b in t.branches))
        for i, t in enumerate(trees)
    ]


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(model, before):
    return {name for name, p in model.named_parameters() if not torch.equal(p.detach(), before[name])}


def one_update(policy, trees, loss=losses.sft, **changes):
    chosen = settings(**changes)
    return update.apply(policy, optimizer.build(policy, chosen), Update(trees, 5.0), loss, chosen)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_an_update_is_a_plain_accumulation_completion_by_completion(name):
    policy, twin = tiny_policy(name), tiny.build(name)
    trees = tiny.forest_trees(twin)
    numbers = one_update(policy, trees, clip_norm=0.1, weight_decay=0.1, micro_batch_tokens=40)

    matrices = [p for p in twin.parameters() if p.ndim > 1]
    vectors = [p for p in twin.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    total = 0.0
    for tree in trees:
        for branch in tree.branches:
            loss = -(branch.weights * one_by_one(twin, [Tree(tree.prompt, (branch,))])).sum() / 5.0
            loss.backward()
            total += loss.item()
    norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
    adamw.step()

    assert numbers["loss"] == pytest.approx(total, rel=1e-5)
    assert numbers["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    for (name, found), expected in zip(policy.model.named_parameters(), twin.parameters(), strict=True):
        # Adam divides by the gradient's size: where that is rounding noise (biases of keys), so is the direction.
        real = expected.grad.abs() > 1e-6
        assert (found - expected)[real].abs().max() < 1e-6 if real.any() else True, name
        assert (found - expected).abs().max() <= 2.1e-3, name


def test_a_loss_that_is_not_finite_names_the_sample_and_leaves_the_weights():
    policy = tiny_policy()
    trees = named(tiny.forest_trees(policy.model))
    before = weights(policy.model)

    def poisoned(logps_S, forest):
        factor = float("nan") if "p2" in forest.names else 1.0
        return (logps_S * factor).sum(), {}

    with pytest.raises(Tripwire, match=r"the loss is nan on a micro-batch with p2;"):
        one_update(policy, trees, poisoned, micro_batch_tokens=24)
    assert changed(policy.model, before) == set()


def test_a_picture_that_can_no_longer_be_read_ends_the_update_and_leaves_the_weights():
    policy = tiny_policy()
    trees, before = tiny.forest_trees(policy.model), weights(policy.model)

    def unreadable():
        raise DataError("expected an image at p.png, found no file")

    trees[3] = replace(trees[3], prompt=replace(trees[3].prompt, pixels=unreadable))
    with pytest.raises(DataError, match=r"expected an image at p.png, found no file"):
        one_update(policy, trees, micro_batch_tokens=24)
    with pytest.raises(DataError, match=r"expected an image at p.png, found no file"):
        update.score(policy, trees, settings(micro_batch_tokens=24))
    assert changed(policy.model, before) == set()


def test_a_gradient_that_is_not_finite_leaves_the_weights():
    policy = tiny_policy()
    before = weights(policy.model)

    def steep(logps_S, forest):
        return (logps_S - logps_S.detach()).abs().sqrt().sum(), {}

    with pytest.raises(Tripwire, match=r"the gradient's norm is (nan|inf)"):
        one_update(policy, tiny.forest_trees(policy.model), steep)
    assert changed(policy.model, before) == set()
    assert all(p.grad is None for p in policy.model.parameters())


@pytest.mark.parametrize("frozen", [("vision",), ("merger",), ("language",), ("vision", "merger")])
def test_frozen_parts_get_no_gradient_and_stay(frozen):
    policy = tiny_policy()
    freeze(policy, frozen)
    before = weights(policy.model)
    chosen = settings()
    adamw = optimizer.build(policy, chosen)
    update.apply(policy, adamw, Update(tiny.forest_trees(policy.model), 5.0), losses.sft, chosen)
    moved = {part_of(name) for name in changed(policy.model, before)}
    assert moved == set(PARTS) - set(frozen)
    held = {id(p) for group in adamw.param_groups for p in group["params"]}
    assert all((id(p) in held) == (part_of(n) not in frozen) for n, p in policy.model.named_parameters())


def gradient(policy, trees, **changes):
    """Gradient of one update as a vector, and its numbers."""
    found = []

    class Keep:
        def step(self):
            found.append(
                torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])
            )

        def zero_grad(self, set_to_none):
            policy.model.zero_grad(set_to_none)

    numbers = update.apply(policy, Keep(), Update(trees, 5.0), losses.sft, settings(clip_norm=1e9, **changes))
    return found[0], numbers


def test_bfloat16_autocast_is_near_float32_and_keeps_float32_weights():
    policy = tiny_policy()
    trees = tiny.forest_trees(policy.model)
    exact, numbers = gradient(policy, trees)
    half = replace(policy, autocast=True)
    rough, other = gradient(half, trees)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).norm() / exact.norm() < 0.05
    assert other["loss"] == pytest.approx(numbers["loss"], rel=0.02)
    one_update(half, trees)
    assert {p.dtype for p in policy.model.parameters()} == {torch.float32}


def test_checkpointed_activations_are_computed_again_and_give_the_same_gradient():
    policy = tiny_policy()
    trees = tiny.forest_trees(policy.model)
    calls = []
    policy.model.model.language_model.layers[0].self_attn.register_forward_pre_hook(
        lambda *_: calls.append(1)
    )
    expected, numbers = gradient(policy, trees)
    once = len(calls)
    policy.checkpoint_activations()
    found, other = gradient(policy, trees)
    assert (once, len(calls) - once) == (1, 2)
    assert (found - expected).norm() / expected.norm() < 1e-6
    assert other["loss"] == pytest.approx(numbers["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("cosine", [0.5, 1, 1, 0.96194, 0.85355, 0.69134, 0.5, 0.30866, 0.14645, 0.03806]),
    ],
)
def test_the_rate_rises_and_falls_by_the_schedule(schedule, expected):
    chosen = settings(lr=1.0, warmup=0.2, schedule=schedule)
    found = [optimizer.learning_rate(chosen, i, 10) for i in range(10)]
    assert found == pytest.approx(expected, abs=1e-5)


# LoRA


def trees_of(policy, problems):
    """Written solutions of drawn problems as trees."""
    form = style(STYLE)
    examples = [Example(p, (Completion(form.target(p.thought, p.answer)),)) for p in problems]
    return plant_examples(policy, examples, form)


def logps(policy, trees):
    return torch.cat(update.score(policy, trees, settings()))


def adapted(policy, trees, parts):
    adapters.add_lora(policy, 4, 8, parts)
    chosen = settings(lr=1e-2)
    adamw = optimizer.build(policy, chosen)
    for _ in range(2):
        update.apply(policy, adamw, Update(trees, 50.0), losses.sft, chosen)


@pytest.mark.parametrize("parts", [("language",), PARTS])
def test_adapters_train_save_load_and_merge(world, drawn, tmp_path, policy, parts):
    trees = trees_of(policy, drawn[:2])
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    plain = logps(policy, trees)
    adapted(policy, trees, parts)
    trained = logps(policy, trees)
    assert (trained - plain).abs().max() > 0.1

    inner = {n: p for n, p in policy.base.named_parameters() if "lora_" not in n}
    assert inner.keys() != before.keys()
    assert all(torch.equal(p, before[n.replace("base_layer.", "")]) for n, p in inner.items())
    lora = {part_of(n) for n, _ in policy.base.named_parameters() if "lora_" in n}
    assert lora == set(parts)

    policy.save(tmp_path / "adapter")
    merged = loading.load(str(tmp_path / "adapter"), device="cpu")
    assert (logps(merged, trees) - trained).abs().max() < 1e-5
    again = loading.load(str(world / "small"), device="cpu")
    adapters.load_lora(again, str(tmp_path / "adapter"))
    assert (logps(again, trees) - trained).abs().max() < 1e-6
    assert all(p.requires_grad == ("lora_" in n) for n, p in again.base.named_parameters())

    bare = adapters.without_adapters(policy)
    assert torch.equal(logps(bare, trees), plain)
    assert (logps(policy, trees) - trained).abs().max() < 1e-6
    assert all(p.requires_grad == ("lora_" in n) for n, p in policy.base.named_parameters())


def test_with_adapters_their_parts_are_trained_whatever_is_frozen_without(world):
    chosen = RewardModelling(model="m", data="d", lora_rank=2, lora_parts=("vision",), device="cpu")
    assert chosen.freeze == ("vision",)
    policy = setup._opened(chosen, str(world / "small"), None, lambda *_: None)
    assert {part_of(n) for n, p in policy.base.named_parameters() if p.requires_grad} == {"vision"}


def test_adapters_on_a_model_with_adapters_keep_both(world, drawn, tmp_path, policy):
    trees = trees_of(policy, drawn[:2])
    adapted(policy, trees, ("language",))
    policy.save(tmp_path / "first")
    second = loading.load(str(tmp_path / "first"), device="cpu")
    adapted(second, trees, ("language",))
    second.save(tmp_path / "second")
    again = loading.load(str(tmp_path / "second"), device="cpu")
    assert (logps(again, trees) - logps(second, trees)).abs().max() < 1e-5
    assert (logps(again, trees) - logps(policy, trees)).abs().max() > 0.1


# The saved policy without this package

PLAIN = """
import json, sys
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

folder, conversation, image, completion = json.loads(sys.argv[1])
model = AutoModelForImageTextToText.from_pretrained(folder).eval()
processor = AutoProcessor.from_pretrained(folder)
text = processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
batch = processor(text=[text], images=[Image.open(image).convert("RGB")], return_tensors="pt")
n = batch["input_ids"].shape[1]
ids = torch.cat([batch["input_ids"], torch.tensor([completion])], 1)
types = (ids == model.config.image_token_id).int()
with torch.no_grad():
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=types,
                   pixel_values=batch["pixel_values"], image_grid_thw=batch["image_grid_thw"]).logits[0, n - 1 : -1]
found = logits.log_softmax(-1).gather(-1, torch.tensor(completion)[:, None])[:, 0]
print(json.dumps({"logps": found.tolist(), "visreason": "visreason" in sys.modules}))
"""


def test_the_saved_policy_gives_the_same_log_probs_in_plain_transformers(drawn, tmp_path, policy):
    problem, form = drawn[0], style(STYLE)
    trees = trees_of(policy, [problem])
    one_update(policy, trees, lr=1e-2)
    policy.save(tmp_path / "saved")
    conversation = messages(problem, form)
    bare = [
        {**m, "content": [p if p["type"] == "text" else {"type": "image"} for p in m["content"]]}
        for m in conversation
    ]
    words = [str(tmp_path / "saved"), bare, problem.images[0].path, trees[0].branches[0].ids.tolist()]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", PLAIN, json.dumps(words)], cwd=Path("/"), env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["visreason"]
    assert (torch.tensor(found["logps"]) - logps(policy, trees)).abs().max() < 1e-5
