from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.model import tiny
from tests.train import plain
from tests.train.forests import LENGTHS, random_forest, tiny_policy, with_fields
from visreason.model.forest import Tree, micro_batches
from visreason.train import losses, update
from visreason.train.advantages import group_mean, group_zscore
from visreason.train.losses import PolicyGradient, batch_weight, k3, token_weights
from visreason.train.settings import Training
from visreason.train.update import Update

EVERY = ("old", "sampler", "reference")
OBJECTIVES = {
    "GRPO on policy": (PolicyGradient(), ()),
    "GRPO off policy": (PolicyGradient(), ("old",)),
    "asymmetric clip": (PolicyGradient(clip_low=0.1, clip_high=0.28), ("old",)),
    "dual clip": (PolicyGradient(dual_clip=1.5), ("old",)),
    "a dual clip inside the clip": (PolicyGradient(dual_clip=1.1), ("old",)),
    "GSPO": (PolicyGradient(0.03, 0.04, ratio="sequence"), ("old",)),
    "GSPO with dual clip": (PolicyGradient(0.1, 0.1, dual_clip=1.2, ratio="sequence"), ("old",)),
    "KL": (PolicyGradient(kl=0.3), ("old", "reference")),
    "KL on policy": (PolicyGradient(kl=0.3), ("reference",)),
    "truncated importance sampling": (PolicyGradient(tis_cap=1.2), ("old", "sampler")),
    "truncated importance sampling on policy": (PolicyGradient(tis_cap=1.2), ("sampler",)),
    "a sampler, but no correction": (PolicyGradient(tis_cap=None), ("old", "sampler")),
    "everything by token": (PolicyGradient(0.1, 0.3, 1.4, "token", 0.2, 1.1), EVERY),
    "everything by sequence": (PolicyGradient(0.05, 0.1, 1.2, "sequence", 0.2, 1.1), EVERY),
}


def tokens(logps_S, forest):
    """The forest's completions as lists of plain tokens."""
    rows = []
    names = {"advantages": "advantage", "old": "old", "sampler": "sampler", "reference": "reference"}
    for i, logp in enumerate(logps_S.tolist()):
        known = {names[k]: v[i].item() for k, v in forest.fields.items()}
        rows.append(plain.Token(logp, forest.weights_S[i].item(), **known))
    ends = forest.lengths_B.cumsum(0).tolist()
    return [rows[end - n : end] for end, n in zip(ends, forest.lengths_B.tolist(), strict=True)]


def check_against(expected, loss, logps_S):
    loss.backward()
    assert loss.item() == pytest.approx(expected.loss, rel=1e-5, abs=1e-6)
    assert logps_S.grad.tolist() == pytest.approx(expected.gradient, rel=1e-4, abs=1e-6)


def test_supervised_loss_is_the_plain_loop():
    logps_S, forest = random_forest((), "sequence")
    loss, _ = losses.sft(logps_S, forest)
    check_against(plain.sft(tokens(logps_S, forest)), loss, logps_S)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", OBJECTIVES)
def test_policy_gradient_is_the_plain_loop_in_value_and_gradient(name, seed):
    objective, fields = OBJECTIVES[name]
    logps_S, forest = random_forest(fields, "sequence", seed)
    loss, numbers = objective(logps_S, forest)
    expected = plain.policy_gradient(tokens(logps_S, forest), **vars(objective))
    check_against(expected, loss, logps_S)
    assert numbers["clip_share"].sum() == expected.clipped


def test_the_random_cases_reach_every_bound():
    def reached(name):
        objective, fields = OBJECTIVES[name]
        found = [random_forest(fields, "sequence", seed) for seed in range(3)]
        return [plain.policy_gradient(tokens(*case), **vars(objective)) for case in found]

    assert all(r.clipped for r in reached("GRPO off policy") + reached("GSPO"))
    assert any(r.bounded for r in reached("dual clip"))
    assert any(r.bounded for r in reached("GSPO with dual clip"))
    assert all(r.capped for r in reached("truncated importance sampling on policy"))


def test_k3_is_never_negative_and_estimates_the_kl():
    logits, other = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    p, q = logits.log_softmax(0), other.log_softmax(0)
    assert (k3(q - p) >= 0).all()
    assert k3(torch.zeros(1)).item() == 0
    assert (p.exp() * k3(q - p)).sum().item() == pytest.approx((p.exp() * (p - q)).sum().item(), rel=1e-4)


def test_numbers_to_log_are_the_plain_loops():
    objective, fields = OBJECTIVES["everything by token"]
    logps_S, forest = random_forest(fields, "token")
    _, numbers = objective(logps_S, forest)
    rows = [t for s in tokens(logps_S, forest) for t in s]
    assert numbers["logp_mismatch"].tolist() == pytest.approx(
        [abs(t.old - t.sampler) for t in rows], rel=1e-4
    )
    kl = [plain.math.exp(t.reference - t.logp) - (t.reference - t.logp) - 1 for t in rows]
    assert numbers["kl"].tolist() == pytest.approx(kl, rel=1e-4, abs=1e-6)


# Advantages


def test_advantages_are_the_plain_loops():
    rewards = [[0.0, 1.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0], [0.3, -0.7, 0.1, 0.0]]
    zscore, centred = [], []
    for group in rewards:
        mean = sum(group) / len(group)
        deviation = (sum((r - mean) ** 2 for r in group) / (len(group) - 1)) ** 0.5
        centred += [r - mean for r in group]
        zscore += [(r - mean) / (deviation + 1e-4) for r in group]
    assert group_zscore(torch.tensor(rewards)).flatten().tolist() == pytest.approx(zscore, abs=1e-5)
    assert group_mean(torch.tensor(rewards)).flatten().tolist() == pytest.approx(centred, abs=1e-6)


def test_a_group_of_equal_rewards_gives_no_advantage_at_all():
    for value in (0.1, 0.7, 1 / 3, 1e6 + 0.1):
        rewards_PG = torch.full((2, 8), value, dtype=torch.float64)
        assert group_zscore(rewards_PG).abs().max() < 1e-5
        assert group_mean(rewards_PG).abs().max() < 1e-9


# TRL's published formula, from its documentation and `GRPOTrainer._compute_loss` (1.16), on padded (B, T) tensors


def padded(x_S, forest, fill=0.0):
    rows = x_S.split(forest.lengths_B.tolist())
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)


def trl_formula(logps_BT, mask_BT, f, *, loss_type, level="token", low, high, delta, beta, cap, max_length):
    old_BT = f.get("old", logps_BT.detach())
    log_BT = logps_BT - old_BT
    if level == "sequence":
        log_BT = ((log_BT * mask_BT).sum(1) / mask_BT.sum(1))[:, None]
    ratio, advantage_B1 = log_BT.exp(), f["advantages"][:, :1]
    bounded = ratio if delta is None else ratio.clamp(max=delta)
    token = -torch.min(bounded * advantage_B1, ratio.clamp(1 - low, 1 + high) * advantage_B1)
    if "sampler" in f:
        token = token * (old_BT - f["sampler"]).exp().clamp(max=cap)
    if beta:
        d = f["reference"] - logps_BT
        token = token + beta * (d.exp() - d - 1)
    summed = (token * mask_BT).sum()
    if loss_type == "grpo":
        return ((token * mask_BT).sum(1) / mask_BT.sum(1)).mean()
    return summed / (mask_BT.sum() if loss_type == "dapo" else len(mask_BT) * max_length)


NORMALIZE = {"grpo": "sequence", "dapo": "token", "dr_grpo": "max_length"}
PUBLISHED = {
    "grpo": {"loss_type": "grpo"},
    "grpo off policy": {"loss_type": "grpo", "fields": ("old",)},
    "grpo with KL": {"loss_type": "grpo", "fields": ("old", "reference"), "beta": 0.04},
    "grpo with delta": {"loss_type": "grpo", "fields": ("old",), "delta": 1.5},
    "dapo": {"loss_type": "dapo", "fields": ("old",), "high": 0.28},
    "dapo with vLLM": {"loss_type": "dapo", "fields": ("old", "sampler"), "cap": 1.2},
    "dr_grpo": {"loss_type": "dr_grpo", "fields": ("old",)},
    "gspo": {"loss_type": "grpo", "fields": ("old",), "level": "sequence", "low": 0.03, "high": 0.04},
    "gspo with KL": {"loss_type": "grpo", "fields": ("old", "reference"), "level": "sequence", "beta": 0.04},
    "all": {"loss_type": "dapo", "fields": EVERY, "high": 0.28, "delta": 1.6, "beta": 0.1, "cap": 1.2},
}
DEFAULTS = {
    "fields": (), "level": "token", "low": 0.2, "high": 0.2, "delta": None, "beta": 0.0, "cap": 2.0, "max_length": 16,
}  # fmt: skip


def ours(case, seed):
    """Loss and gradient of `PolicyGradient` under the options of a published case, and its forest."""
    normalize = NORMALIZE[case["loss_type"]]
    logps_S, forest = random_forest(case["fields"], normalize, seed)
    objective = PolicyGradient(
        case["low"], case["high"], case["delta"], case["level"], case["beta"], case["cap"]
    )
    weight = batch_weight(normalize, forest.lengths_B.tolist(), case["max_length"])
    loss = objective(logps_S, forest)[0] / weight
    loss.backward()
    return loss.item(), logps_S.grad, forest


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PUBLISHED)
def test_losses_and_weights_are_trls_published_formula(name, seed):
    case = DEFAULTS | PUBLISHED[name]
    loss, gradient, forest = ours(case, seed)
    logps_S, _ = random_forest(case["fields"], NORMALIZE[case["loss_type"]], seed)
    mask_BT = padded(torch.ones_like(logps_S), forest)
    fields = {k: padded(v, forest) for k, v in forest.fields.items()}
    options = {k: v for k, v in case.items() if k != "fields"}
    published = trl_formula(padded(logps_S, forest), mask_BT, fields, **options)
    published.backward()
    assert loss == pytest.approx(published.item(), rel=1e-5)
    assert torch.allclose(gradient, logps_S.grad, rtol=1e-4, atol=1e-7)


class OneProcess:
    """As much of accelerate as TRL's loss touches."""

    num_processes = 1

    def gather(self, x):
        return x

    def reduce(self, x, reduction):
        return x


def trl_itself(case, logps_BT, mask_BT, fields):
    """The loss of TRL's own trainer, with everything around `_compute_loss` made by hand."""
    from trl import GRPOTrainer

    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (logps_BT, torch.zeros_like(logps_BT), None),
        args=SimpleNamespace(use_bias_correction_kl=False, delta=case["delta"], steps_per_generation=1),
        loss_type=case["loss_type"],
        importance_sampling_level=case["level"],
        epsilon_low=case["low"],
        epsilon_high=case["high"],
        beta=case["beta"],
        use_vllm="sampler" in fields,
        vllm_importance_sampling_correction=True,
        max_completion_length=case["max_length"],
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        current_gradient_accumulation_steps=1,
        accelerator=OneProcess(),
        model=SimpleNamespace(training=True),
        _entropy_bonus_enabled=False,
        _metrics={"train": defaultdict(list)},
    )
    B = len(mask_BT)
    inputs = {
        "prompt_ids": torch.zeros(B, 1, dtype=torch.long),
        "prompt_mask": torch.ones(B, 1),
        "completion_ids": torch.zeros_like(mask_BT, dtype=torch.long),
        "completion_mask": mask_BT,
        "advantages": fields["advantages"][:, 0],
        "num_items_in_batch": mask_BT.sum(),
    }
    renamed = {"old": "old_per_token_logps", "reference": "ref_per_token_logps"}
    inputs |= {renamed[k]: v for k, v in fields.items() if k in renamed}
    if "sampler" in fields:
        inputs["importance_sampling_ratio"] = (fields["old"] - fields["sampler"]).exp().clamp(max=case["cap"])
    return GRPOTrainer._compute_loss(trainer, None, inputs)


@pytest.mark.peers
@pytest.mark.parametrize("name", PUBLISHED)
def test_losses_and_weights_are_those_of_trl_itself(name):
    case = DEFAULTS | PUBLISHED[name]
    loss, gradient, forest = ours(case, seed=0)
    logps_S, _ = random_forest(case["fields"], NORMALIZE[case["loss_type"]], seed=0)
    mask_BT = padded(torch.ones_like(logps_S), forest)
    fields = {k: padded(v, forest) for k, v in forest.fields.items()}
    theirs = trl_itself(case, padded(logps_S, forest), mask_BT, fields)
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(gradient, logps_S.grad, rtol=1e-4, atol=1e-7)


def test_weights_make_the_means_of_the_papers():
    lengths = [n for tree in LENGTHS for n in tree]
    values = {n: torch.arange(float(n)) for n in lengths}

    def weighted(normalize):
        total = sum((token_weights(normalize, n) * values[n]).sum().item() for n in lengths)
        return total / batch_weight(normalize, lengths, max_tokens=32)

    means = [sum(range(n)) / n for n in lengths]
    assert weighted("sequence") == pytest.approx(sum(means) / len(means))
    assert weighted("token") == pytest.approx(sum(sum(range(n)) for n in lengths) / sum(lengths))
    assert weighted("max_length") == pytest.approx(sum(sum(range(n)) for n in lengths) / (len(lengths) * 32))


# Padding, permutation and micro-batches: the gradient of a batch does not depend on how it is computed


class Recorder:
    """An optimizer that keeps the gradients instead of using them."""

    def __init__(self, model):
        self.parameters, self.gradient = list(model.parameters()), None

    def step(self):
        self.gradient = torch.cat([p.grad.flatten() for p in self.parameters if p.grad is not None])

    def zero_grad(self, set_to_none):
        for p in self.parameters:
            p.grad = None


def summed(policy, trees, loss, **settings):
    """Gradient and numbers of one update under memory settings."""
    recorder = Recorder(policy.model)
    options = Training(model="m", data="d", clip_norm=1e9, **settings)
    numbers = update.apply(policy, recorder, Update(trees, 7.0), loss, options)
    return recorder.gradient, numbers


@pytest.fixture(scope="module")
def batch():
    policy = tiny_policy()
    trees = tiny.forest_trees(policy.model)
    settings = Training(model="m", data="d")
    return policy, with_fields(trees, update.score(policy, trees, settings), EVERY, seed=0)


LOSSES = {
    "sft": losses.sft,
    "by token": OBJECTIVES["everything by token"][0],
    "by sequence": OBJECTIVES["everything by sequence"][0],
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_of_a_batch_does_not_depend_on_its_packing(batch, loss):
    policy, trees = batch
    expected, numbers = summed(policy, trees, LOSSES[loss])
    turned = [Tree(t.prompt, t.branches[::-1]) for t in trees[::-1]]
    ways = {
        "order": (policy, turned, {}),
        "one tree a row": (policy, trees, {"micro_batch_tokens": max(t.tokens for t in trees)}),
        "split groups": (policy, trees, {"micro_batch_tokens": 24}),
        "no sharing": (replace(policy, share=False), trees, {}),
    }
    for name, (planter, planted, settings) in ways.items():
        found, other = summed(planter, planted, LOSSES[loss], **settings)
        assert (found - expected).norm() / expected.norm() < 1e-5, name
        for number in ("loss", "entropy", "logp", "grad_norm"):
            assert other[number] == pytest.approx(numbers[number], rel=1e-4), (name, number)


def test_the_ways_of_packing_differ(batch):
    _, trees = batch
    whole, _ = micro_batches(trees, 10_000)
    split, lost = micro_batches(trees, 24)
    assert (len(whole), len(split)) == (1, 6)
    assert lost > 0


def test_tokens_are_counted_as_packed_saved_and_lost(batch):
    policy, trees = batch
    alone = sum(len(t.prompt.ids) - 1 + len(b.ids) for t in trees for b in t.branches)
    _, shared = summed(policy, trees, losses.sft)
    _, split = summed(policy, trees, losses.sft, micro_batch_tokens=24)
    _, single = summed(replace(policy, share=False), trees, losses.sft)
    assert shared["tokens"] == sum(t.tokens for t in trees)
    assert (shared["tokens_lost_to_splits"], single["tokens_saved"], single["tokens"]) == (0, 0, alone)
    assert split["tokens"] == shared["tokens"] + split["tokens_lost_to_splits"]
    assert all(n["tokens"] + n["tokens_saved"] == alone for n in (shared, split, single))
