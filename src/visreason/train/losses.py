"""Objectives as sums over branch tokens. Normalisation is data: the forest carries token weights, the batch its weight.

Axes: S branch tokens of a forest, B its branches, P pairs of them. Every loss returns the weighted sum, and numbers to
log of each token or pair.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from visreason.model.forest import Forest

Numbers = dict[str, torch.Tensor]
Loss = Callable[[torch.Tensor, Forest], tuple[torch.Tensor, Numbers]]


def sft(logps_S: torch.Tensor, forest: Forest) -> tuple[torch.Tensor, Numbers]:
    """Cross-entropy of the completion tokens: -sum of weight x logp."""
    return -(forest.weights_S * logps_S).sum(), {}


@dataclass(frozen=True)
class PolicyGradient:
    """The clipped policy-gradient loss of GRPO and its relatives; calling it gives the loss of a forest.

    Fields of the forest: `advantages`, and where they differ from the current policy `old` (trainer's log-probs before
    the first update), `sampler` (the engine's) and `reference` (frozen policy's), each (S,).

    per token, with r = exp(logp - old):
      -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)    GRPO eq. 3 (arXiv 2402.03300); clip_high apart: DAPO eq. 10
      and at least dual_clip x A where A < 0                dual clip (arXiv 1912.09729 eq. 5)
      + kl (exp(d) - d - 1), d = reference - logp           k3 estimator, GRPO eq. 4
    `ratio="sequence"` takes the geometric mean of r over the completion (GSPO, arXiv 2507.18071 eq. 7).
    The clipped term is multiplied by min(exp(old - sampler), tis_cap), truncated importance sampling between sampler
    and trainer (TRL, verl), token by token under either `ratio`.
    """

    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = None
    ratio: Literal["token", "sequence"] = "token"
    kl: float = 0.0
    tis_cap: float | None = 2.0

    def __call__(self, logps_S: torch.Tensor, forest: Forest) -> tuple[torch.Tensor, Numbers]:
        fields = forest.fields
        advantages_S = fields["advantages"]
        old_S = fields.get("old", logps_S.detach())
        log_ratio_S = logps_S - old_S
        if self.ratio == "sequence":
            log_ratio_S = _mean_of_branch(log_ratio_S, forest)
        ratio_S = log_ratio_S.exp()
        clipped_S = ratio_S.clamp(1 - self.clip_low, 1 + self.clip_high)
        gain_S = torch.minimum(ratio_S * advantages_S, clipped_S * advantages_S)
        if self.dual_clip is not None:
            gain_S = torch.where(
                advantages_S < 0, torch.maximum(gain_S, self.dual_clip * advantages_S), gain_S
            )
        numbers = {"clip_share": ((ratio_S * advantages_S) > (clipped_S * advantages_S)).float()}
        loss_S = -gain_S
        if "sampler" in fields:
            mismatch_S = old_S - fields["sampler"]
            numbers["logp_mismatch"] = numbers["logp_mismatch/largest"] = mismatch_S.abs()
            if self.tis_cap is not None:
                weight_S = mismatch_S.exp().clamp(max=self.tis_cap)
                numbers["importance"] = weight_S
                loss_S = loss_S * weight_S
        if "reference" in fields:
            kl_S = k3(fields["reference"] - logps_S)
            numbers["kl"] = kl_S.detach()
            loss_S = loss_S + self.kl * kl_S
        return (forest.weights_S * loss_S).sum(), numbers


@dataclass(frozen=True)
class BradleyTerry:
    """The loss of a reward model on its values (S,), chosen and rejected in turn; sums over the pairs.

    With a score the value at a completion's last token:
    -log sigmoid(chosen - rejected - margin)       Bradley-Terry, Skywork-VL Reward eq. 1 (arXiv 2505.07263); the
                                                   margin: Llama 2 eq. 2 (arXiv 2307.09288), a field `margin` (S,)
      + centre (chosen + rejected)^2               Eisenstein et al. 2023 (arXiv 2312.09244), eq. 2
      + along x the mean of the first term at every token between the sides' first difference and their end, which
        DeepSpeed-Chat takes alone (arXiv 2308.01320; its reward_model.py): one bit a pair teaches little, slowly
    """

    centre: float = 0.0
    along: float = 0.0

    def __call__(self, values_S: torch.Tensor, forest: Forest) -> tuple[torch.Tensor, Numbers]:
        last_B = ends(forest)
        scores_B = values_S[last_B]
        chosen_P, rejected_P = in_pairs(scores_B)
        gap_P = chosen_P - rejected_P
        asked_P = forest.fields["margin"][last_B[::2]] if "margin" in forest.fields else 0.0
        loss_P = -F.logsigmoid(gap_P - asked_P) + self.centre * (chosen_P + rejected_P) ** 2
        if self.along:
            loss_P = loss_P + self.along * _along(values_S, forest)
        numbers = {"accuracy": (gap_P > 0).float(), "score_gap": gap_P.detach(), "score": scores_B.detach()}
        return loss_P.sum(), numbers


def _along(values_S: torch.Tensor, forest: Forest) -> torch.Tensor:
    """Mean Bradley-Terry loss (P,) of each pair at the places of both sides that have read a token in which they
    differ; 0 where there is none before an end."""
    lengths = forest.lengths_B.tolist()
    values, ids = values_S.split(lengths), forest.targets_S.split(lengths)
    found = []
    for good, bad, good_ids, bad_ids in zip(values[::2], values[1::2], ids[::2], ids[1::2], strict=True):
        n = min(len(good), len(bad)) - 1
        differ = (good_ids[:n] != bad_ids[:n]).nonzero()
        first = int(differ[0]) + 1 if len(differ) else n
        gaps = good[first:n] - bad[first:n]
        found.append(-F.logsigmoid(gaps).mean() if len(gaps) else values_S.new_zeros(()))
    return torch.stack(found)


@dataclass(frozen=True)
class Preference:
    """The loss of MPO on log-probs (S,) of chosen and rejected completions in turn; sums over the pairs.

    With r = beta (logp - reference logp) of a whole completion, the field `reference` (S,) holding the latter's sum on
    its last token:
      dpo x -log sigmoid(r+ - r-)                                      preference, DPO eq. 7 (arXiv 2305.18290)
      bco x -(log sigmoid(r+ - t) + log sigmoid(t - r-))               quality, BCO (arXiv 2404.04656)
      nll x -weight x logp+                                            generation; the sum: MPO (arXiv 2411.10442)
    `threshold` t is given, so that micro-batches of one step see the same; BCO takes a running mean of r.
    """

    beta: float
    dpo: float
    bco: float
    nll: float
    threshold: float = 0.0

    def __call__(self, logps_S: torch.Tensor, forest: Forest) -> tuple[torch.Tensor, Numbers]:
        sums_B = sum_of_branch(logps_S, forest)
        rewards_B = self.beta * (sums_B - forest.fields["reference"][ends(forest)])
        good_P, bad_P = in_pairs(rewards_B)
        nll_P, _ = in_pairs(-sum_of_branch(forest.weights_S * logps_S, forest))
        dpo_P = -F.logsigmoid(good_P - bad_P)
        bco_P = -F.logsigmoid(good_P - self.threshold) - F.logsigmoid(self.threshold - bad_P)
        parts = {"loss/dpo": dpo_P, "loss/bco": bco_P, "loss/nll": nll_P, "reward/chosen": good_P,
                 "reward/rejected": bad_P, "accuracy": (good_P > bad_P).float()}  # fmt: skip
        loss_P = self.dpo * dpo_P + self.bco * bco_P + self.nll * nll_P
        return loss_P.sum(), {name: x_P.detach() for name, x_P in parts.items()}


def mean_logistic(gaps: Sequence[float]) -> float:
    """Mean of -log sigmoid(gap): the Bradley-Terry loss of pairs whose scores or implicit rewards differ by so much.

    >>> round(mean_logistic([0.0, 1000.0, -1000.0]), 3)
    333.564
    """
    return sum(math.log1p(math.exp(-abs(gap))) + max(0.0, -gap) for gap in gaps) / len(gaps)


def in_pairs(x_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of branches, chosen and rejected in turn, as those of the chosen and of the rejected ones, (P,) each."""
    x_P2 = x_B.view(-1, 2)
    return x_P2[:, 0], x_P2[:, 1]


def ends(forest: Forest) -> torch.Tensor:
    """Place (B,) of each branch's last token among the branch tokens."""
    return forest.lengths_B.cumsum(0) - 1


def k3(difference_S: torch.Tensor) -> torch.Tensor:
    """exp(d) - d - 1 with d = reference logp - policy logp: unbiased and never negative (GRPO eq. 4)."""
    return difference_S.exp() - difference_S - 1


def token_weights(normalize: str, length: int) -> torch.Tensor:
    """Weights (C,) of one completion's tokens: 1 / length where sequences count alike (GRPO), else 1."""
    return torch.full((length,), 1 / length if normalize == "sequence" else 1.0)


def batch_weight(normalize: str, lengths: list[int], max_tokens: int) -> float:
    """What the sum of token losses is divided by: sequences (GRPO), tokens (DAPO, arXiv 2503.14476 eq. 12; SFT), or
    sequences x the longest allowed completion (Dr. GRPO, arXiv 2503.20783). `lengths` count the tokens that weigh:
    0 for a masked completion, which still is a sequence, as in TRL."""
    sums = {"sequence": len(lengths), "token": sum(lengths), "max_length": len(lengths) * max_tokens}
    return float(max(1, sums[normalize]))


def _mean_of_branch(x_S: torch.Tensor, forest: Forest) -> torch.Tensor:
    """Each token's number replaced by the mean over its completion."""
    return (sum_of_branch(x_S, forest) / forest.lengths_B)[forest.branch_of_S]


def sum_of_branch(x_S: torch.Tensor, forest: Forest) -> torch.Tensor:
    """The tokens' numbers summed over each completion, (B,)."""
    sums_B = torch.zeros(len(forest.lengths_B), dtype=x_S.dtype, device=x_S.device)
    return sums_B.index_add(0, forest.branch_of_S, x_S)
