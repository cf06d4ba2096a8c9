"""One optimizer step: trees into forests under the token budget, their losses summed, one update."""

import time
from dataclasses import dataclass

import torch

from visreason.errors import Tripwire
from visreason.model.forest import Forest, Tree, micro_batches, plant
from visreason.model.load import Policy
from visreason.train.losses import Loss, Numbers
from visreason.train.settings import Training


@dataclass(frozen=True)
class Update:
    """The trees of one optimizer step and what their summed loss is divided by."""

    trees: list[Tree]
    weight: float


def apply(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    update: Update,
    loss: Loss,
    settings: Training,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Accumulate the gradients of every forest and step. Returns numbers to log: means over completion tokens, and
    loss, grad_norm, tokens (packed), tokens_saved (what one row a completion would add), seconds_update.

    Raises Tripwire on a non-finite loss or gradient, before the weights change.
    """
    start = time.perf_counter()
    total, sums, tokens = 0.0, {}, 0
    batches, lost = micro_batches(update.trees, settings.micro_batch_tokens, policy.share)
    for trees in batches:
        forest = plant(trees, policy.attention_path).to(policy.device)
        logps_S, entropy_S = policy.logps(forest, temperature, entropy=True)
        value, numbers = loss(logps_S, forest)
        if not torch.isfinite(value):
            optimizer.zero_grad(set_to_none=True)
            raise _non_finite(value, forest)
        (value / update.weight).backward()
        total += value.item() / update.weight
        tokens += forest.layout.tokens
        _add(sums, {**numbers, "entropy": entropy_S, "logp": logps_S.detach()})
    norm = torch.nn.utils.clip_grad_norm_(
        [p for p in policy.model.parameters() if p.grad is not None], settings.clip_norm
    )
    if not torch.isfinite(norm):
        optimizer.zero_grad(set_to_none=True)
        raise Tripwire(
            f"the gradient's norm is {norm.item()}; lower lr or clip_norm, or take precision=float32"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    scored = sum(len(b.ids) for t in update.trees for b in t.branches)
    alone = sum(len(t.prompt.ids) - 1 + len(b.ids) for t in update.trees for b in t.branches)
    seconds = time.perf_counter() - start
    return {
        "loss": total,
        "grad_norm": norm.item(),
        **{k: v / scored for k, v in sums.items()},
        "tokens": tokens,
        "tokens_saved": alone - tokens,
        "tokens_lost_to_splits": lost,
        "seconds_update": seconds,
    }


@torch.no_grad()
def score(
    policy: Policy, trees: list[Tree], settings: Training, temperature: float = 1.0
) -> list[torch.Tensor]:
    """Log-probs of every branch, each (C,) on the CPU, in order of trees and branches, without gradient."""
    out: list[torch.Tensor] = []
    batches, _ = micro_batches(trees, settings.micro_batch_tokens, policy.share)
    for batch in batches:
        forest = plant(batch, policy.attention_path)
        logps_S = policy.logps(forest, temperature).logps_S
        out += logps_S.cpu().split(forest.lengths_B.tolist())
    return out


def _non_finite(value: torch.Tensor, forest: Forest) -> Tripwire:
    return Tripwire(
        f"the loss is {value.item()} on a micro-batch with {', '.join(dict.fromkeys(forest.names))}; "
        "look at these samples, lower lr, or take precision=float32"
    )


def _add(sums: dict[str, float], numbers: Numbers) -> None:
    for name, x_S in numbers.items():
        sums[name] = sums.get(name, 0.0) + x_S.sum().item()
