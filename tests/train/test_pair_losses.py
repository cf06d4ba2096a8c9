"""Bradley-Terry and MPO against loops over plain numbers, TRL 1.16's own loss, and how a batch is cut."""

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from tests.model import tiny
from tests.train.forests import text_prompt, tiny_policy
from visreason.model import value_head
from visreason.model.forest import Branch, Tree, plant
from visreason.model.value_head import ValueHead
from visreason.train import optimizer, update
from visreason.train.losses import BradleyTerry, Preference, ends
from visreason.train.pair_settings import RewardModelling
from visreason.train.reward_model import with_head
from visreason.train.settings import Training
from visreason.train.update import Update

LENGTHS = ((5, 2), (4, 4), (1, 7))
BETA = 0.3


def log_sigmoid(x):
    return min(0.0, x) - math.log1p(math.exp(-abs(x)))


def pair_forest(normalize="sequence", seed=0):
    """Log-probs (S,) with gradient, and a forest of three pairs whose reference sums lie near theirs."""
    g = torch.Generator().manual_seed(seed)
    logps, trees = [], []
    for lengths in LENGTHS:
        branches = []
        for side, n in enumerate(lengths):
            logps.append(-2 * torch.rand(n, generator=g))
            reference = torch.zeros(n)
            reference[-1] = logps[-1].sum() + torch.randn((), generator=g)
            even = len(LENGTHS) / sum(pair[0] for pair in LENGTHS)
            weight = 0.0 if side else (1 / n if normalize == "sequence" else even)
            branches.append(Branch(torch.arange(n), torch.full((n,), weight), {"reference": reference}))
        trees.append(Tree(text_prompt(3), tuple(branches)))
    return torch.cat(logps).requires_grad_(), plant(trees)


def sides(logps_S, forest):
    """Per pair: log-probs of chosen and rejected tokens, and their reference sums, as plain numbers."""
    rows = [r.tolist() for r in logps_S.split(forest.lengths_B.tolist())]
    sums = [r.sum().item() for r in forest.fields["reference"].split(forest.lengths_B.tolist())]
    return list(zip(rows[::2], rows[1::2], sums[::2], sums[1::2], strict=True))


@pytest.mark.parametrize("normalize", ["sequence", "token"])
@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_mpo_is_the_plain_loop(normalize, threshold):
    logps_S, forest = pair_forest(normalize)
    loss, numbers = Preference(BETA, 0.8, 0.2, 1.0, threshold)(logps_S, forest)
    parts = {"loss/dpo": 0.0, "loss/bco": 0.0, "loss/nll": 0.0}
    for chosen, rejected, chosen_reference, rejected_reference in sides(logps_S, forest):
        good = BETA * (sum(chosen) - chosen_reference)
        bad = BETA * (sum(rejected) - rejected_reference)
        parts["loss/dpo"] -= log_sigmoid(good - bad)
        parts["loss/bco"] -= log_sigmoid(good - threshold) + log_sigmoid(threshold - bad)
        even = len(LENGTHS) / sum(pair[0] for pair in LENGTHS)
        parts["loss/nll"] -= sum(chosen) * (1 / len(chosen) if normalize == "sequence" else even)
    assert {k: numbers[k].sum().item() for k in parts} == pytest.approx(parts, rel=1e-5)
    expected = 0.8 * parts["loss/dpo"] + 0.2 * parts["loss/bco"] + parts["loss/nll"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_dpo_alone_moves_nothing_but_the_difference():
    logps_S, forest = pair_forest()
    loss, _ = Preference(BETA, 1.0, 0.0, 0.0)(logps_S, forest)
    loss.backward()
    chosen, rejected = (logps_S.grad.split(forest.lengths_B.tolist())[i] for i in (0, 1))
    assert torch.allclose(chosen, chosen[0].expand_as(chosen))
    assert chosen[0].item() == pytest.approx(-rejected[0].item())
    assert chosen[0] < 0


def trl_itself(logps_S, forest, beta, weights):
    """TRL's DPO trainer on the same log-probs: loss_type=[sigmoid, bco_pair, sft]."""
    from trl.trainer.dpo_trainer import DPOTrainer

    rows = list(logps_S.split(forest.lengths_B.tolist()))
    rows = rows[::2] + rows[1::2]  # theirs: all chosen, then all rejected
    longest = max(map(len, rows)) + 1
    mask = torch.stack([torch.tensor([0] + [1] * len(r) + [0] * (longest - 1 - len(r))) for r in rows])
    padded = torch.stack([torch.cat([r, r.new_zeros(longest - 1 - len(r))]) for r in rows])
    sums = torch.stack([r.sum() for r in forest.fields["reference"].split(forest.lengths_B.tolist())])
    zeros = torch.zeros_like(padded)
    outputs = SimpleNamespace(log_probs=padded, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())
    same = SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False), accelerator=same, aux_loss_enabled=False, ld_alpha=None, beta=beta,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=["sigmoid", "bco_pair", "sft"],
        loss_weights=list(weights), use_weighting=False, _metrics={"eval": defaultdict(list)}, _total_train_tokens=0,
    )  # fmt: skip
    inputs = {"input_ids": mask, "attention_mask": mask, "completion_mask": mask, "ref_chosen_logps": sums[::2],
              "ref_rejected_logps": sums[1::2]}  # fmt: skip
    return DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, return_outputs=False)


@pytest.mark.peers
@pytest.mark.parametrize("weights", [(0.8, 0.2, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.3, 2.0, 0.1)])
def test_mpo_is_trls_with_its_threshold_and_its_mean_over_tokens(weights):
    ours, forest = pair_forest("token", seed=3)
    theirs, _ = pair_forest("token", seed=3)
    loss, _ = Preference(BETA, *weights)(ours, forest)
    (loss / len(LENGTHS)).backward()
    expected = trl_itself(theirs, forest, BETA, weights)
    expected.backward()
    assert loss.item() / len(LENGTHS) == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_bradley_terry_is_the_plain_loop_with_margin_and_centring():
    def side(n, margin):
        return Branch(torch.arange(n), torch.zeros(n), {"margin": torch.full((n,), margin)})

    margins = zip(LENGTHS, (0.5, 1.0, 0.0), strict=True)
    trees = [Tree(text_prompt(3), tuple(side(n, m) for n in pair)) for pair, m in margins]
    forest = plant(trees)
    values_S = torch.full((len(forest.targets_S),), 9.0)
    values_S[ends(forest)] = torch.tensor([0.3, -0.2, 1.0, 2.0, -1.0, -1.0])
    values_S.requires_grad_()
    loss, numbers = BradleyTerry(centre=0.01)(values_S, forest)
    pairs = [(0.3, -0.2, 0.5), (1.0, 2.0, 1.0), (-1.0, -1.0, 0.0)]
    expected = sum(-log_sigmoid(c - r - m) + 0.01 * (c + r) ** 2 for c, r, m in pairs)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert numbers["accuracy"].tolist() == [1.0, 0.0, 0.0], "a tie is not right"
    loss.backward()
    slope = -1 / (1 + math.exp(0.3 + 0.2 - 0.5)) + 0.02 * (0.3 - 0.2)
    assert values_S.grad[LENGTHS[0][0] - 1].item() == pytest.approx(slope, rel=1e-5)


def test_along_the_sides_counts_every_place_that_has_read_a_difference_and_the_end_once():
    chosen, rejected = torch.tensor([7, 8, 9, 5, 2, 0]), torch.tensor([7, 8, 6, 5, 2, 0])
    long = (Branch(chosen, torch.zeros(6)), Branch(rejected, torch.zeros(6)))
    short = (Branch(chosen[:2], torch.zeros(2)), Branch(rejected[:3], torch.zeros(3)))
    trees = [Tree(text_prompt(3), long), Tree(text_prompt(3), short)]
    good, bad = [9.0, 9.0, 9.0, 0.5, 1.0, 2.0], [9.0, 9.0, 9.0, 0.1, 2.0, 0.0]
    values_S = torch.tensor([*good, *bad, 0.0, 1.0, 0.0, 9.0, 0.0])
    loss, _ = BradleyTerry(along=0.5)(values_S, plant(trees))
    places = [0.5 - 0.1, 1.0 - 2.0]
    expected = -log_sigmoid(2.0) - 0.5 * sum(map(log_sigmoid, places)) / 2 - log_sigmoid(1.0)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def reward_model():
    policy = tiny_policy()
    policy.value_head = ValueHead(32, seed=0)
    return policy


def pair_trees(model):
    return [
        Tree(tiny.prompt(model, [(4, 6)], 5, 1), (tiny.branch(7, 1), tiny.branch(3, 2))),
        Tree(tiny.prompt(model, [], 6, 2), (tiny.branch(4, 4), tiny.branch(6, 5))),
        Tree(tiny.prompt(model, [(4, 4)], 3, 3), (tiny.branch(5, 6), tiny.branch(5, 7))),
    ]


def one_by_one(policy, tree, branch):
    """The head on a plain forward of prompt and completion, less its last token, which no position reads."""
    row = torch.cat([tree.prompt.ids, branch.ids[:-1]])[None]
    image = (row == tiny.IMAGE).int()
    out = policy.model.model(input_ids=row, mm_token_type_ids=image, pixel_values=tree.prompt.pixels,
                             image_grid_thw=tree.prompt.grid_N3, use_cache=False)  # fmt: skip
    return policy.value_head(out.last_hidden_state[:, -1])


def test_training_goes_on_with_the_head_at_a_hub_id_and_begins_one_where_there_is_none(monkeypatch, tmp_path):
    trained = ValueHead(32, seed=7)
    trained.save(tmp_path)
    hub = {"org/reward": tmp_path / "value_head.safetensors"}
    monkeypatch.setattr(
        value_head,
        "cached_file",
        lambda path, name, **_: hub.get(path) if name == value_head.FILES[0] else None,
    )
    settings, policy = RewardModelling(model="m", data="d", seed=1), tiny_policy()
    for path, expected in (("org/reward", trained), ("org/base", ValueHead(32, seed=1))):
        with_head(policy, path, settings)
        assert torch.equal(policy.value_head.summary.weight, expected.summary.weight)


@pytest.mark.parametrize("budget", [16384, 40, 16])
def test_a_step_on_pairs_is_two_plain_forwards_a_pair_however_the_batch_is_cut(budget):
    policy, twin = reward_model(), reward_model()
    trees = pair_trees(policy.model)
    chosen = Training(model="m", data="d", lr=1e-3, micro_batch_tokens=budget, clip_norm=1e9)
    step = Update(trees, len(trees), whole=True)
    numbers = update.apply(
        policy, optimizer.build(policy, chosen), step, BradleyTerry(), chosen, forward=update.values
    )
    total = 0.0
    for tree in trees:
        good, bad = (one_by_one(twin, tree, b) for b in tree.branches)
        loss = -torch.nn.functional.logsigmoid(good - bad).sum() / len(trees)
        loss.backward()
        total += loss.item()
    norm = torch.nn.utils.clip_grad_norm_([p for _, p in twin.named_parameters() if p.grad is not None], 1e9)
    assert numbers["loss"] == pytest.approx(total, rel=1e-5)
    assert numbers["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    moved = policy.value_head.summary.weight - twin.value_head.summary.weight
    assert moved.abs().max() > 1e-4, "the head is trained"
