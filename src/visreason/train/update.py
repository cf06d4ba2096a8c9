"""One optimizer step: trees into forests under the token budget, their losses summed, one update."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from visreason.errors import Tripwire
from visreason.model.forest import Forest, Tree, plant
from visreason.model.load import Policy
from visreason.train import sharding
from visreason.train.losses import Loss, Numbers
from visreason.train.settings import Training

Forward = Callable[[Policy, Forest, float], tuple[torch.Tensor, Numbers]]
"""What a loss is computed from, of a forest at a temperature, and numbers to log."""


@dataclass(frozen=True)
class Update:
    """The trees of one optimizer step, what their summed loss is divided by, and whether a tree must stay whole."""

    trees: list[Tree]
    weight: float
    whole: bool = False


def log_probs(policy: Policy, forest: Forest, temperature: float) -> tuple[torch.Tensor, Numbers]:
    """Log-probs (S,) of the branch tokens; logged with the entropy."""
    logps_S, entropy_S = policy.logps(forest, temperature, entropy=True)
    assert entropy_S is not None
    return logps_S, {"entropy": entropy_S, "logp": logps_S.detach()}


def values(policy: Policy, forest: Forest, temperature: float) -> tuple[torch.Tensor, Numbers]:
    """Scores (S,) at the branch tokens by the policy's value head; a temperature has no meaning for them."""
    return policy.values(forest), {}


def apply(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    update: Update,
    loss: Loss,
    settings: Training,
    temperature: float = 1.0,
    forward: Forward = log_probs,
) -> dict[str, float]:
    """Accumulate the gradients of every forest and step. Returns numbers to log: means over completion tokens (or
    branches, or pairs: what the numbers are of), and loss, grad_norm, tokens (packed), tokens_saved (what one row a
    completion would add), seconds_update.

    Raises Tripwire on a non-finite loss or gradient, before the weights change.
    """
    start = time.perf_counter()
    total, tokens = 0.0, 0
    sums: dict[str, tuple[float, int]] = {}
    batches, lost = sharding.micro_batches(policy, update.trees, settings.micro_batch_tokens, update.whole)
    for batch in batches:
        forest = batch.planted(policy).to(policy.device)
        output, logged = forward(policy, forest, temperature)
        value = 0 * output[-1] if batch.filler else 0  # a filler teaches nothing
        if batch.trees:
            learned = plant(batch.trees).to(policy.device) if batch.filler else forest
            own, numbers = loss(batch.own(output), learned)
            if not torch.isfinite(own):
                optimizer.zero_grad(set_to_none=True)
                raise _non_finite(own, learned)
            value = value + own
            total += own.item() / update.weight
            tokens += learned.layout.tokens
            _add(sums, {**numbers, **{name: batch.own(x) for name, x in logged.items()}})
        (value / update.weight).backward()
    total, tokens, sums = _of_all(sharding.gather((total, tokens, sums)))
    trained = [p for _, p in policy.named_parameters() if p.grad is not None]
    norm = sharding.whole(torch.nn.utils.clip_grad_norm_(trained, settings.clip_norm))
    if not torch.isfinite(norm):
        optimizer.zero_grad(set_to_none=True)
        raise Tripwire(
            f"the gradient's norm is {norm.item()}; lower lr or clip_norm, or take precision=float32"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    alone = sum(len(t.prompt.ids) - 1 + len(b.ids) for t in update.trees for b in t.branches)
    seconds = time.perf_counter() - start
    return {
        "loss": total,
        "grad_norm": norm.item(),
        **{k: s / n for k, (s, n) in sums.items()},
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
    batches, _ = sharding.micro_batches(policy, trees, settings.micro_batch_tokens)
    for batch in batches:
        forest = batch.planted(policy)
        logps_S = policy.logps(forest, temperature).logps_S
        pieces = logps_S.cpu().split(forest.lengths_B.tolist())
        out += pieces if batch.filler is None else pieces[:-1]
    return sharding.in_order(trees, out)


def _non_finite(value: torch.Tensor, forest: Forest) -> Tripwire:
    return Tripwire(
        f"the loss is {value.item()} on a micro-batch with {', '.join(dict.fromkeys(forest.names))}; "
        "look at these samples, lower lr, or take precision=float32"
    )


Part = tuple[float, int, dict[str, tuple[float, int]]]
"""Loss, tokens, and sums and numbers of what is logged."""


def _of_all(parts: list[Part]) -> Part:
    sums: dict[str, tuple[float, int]] = {}
    for _, _, part in parts:
        for name, (x, n) in part.items():
            total, count = sums.get(name, (0.0, 0))
            sums[name] = (total + x, count + n)
    return sum(loss for loss, _, _ in parts), sum(tokens for _, tokens, _ in parts), sums


def _add(sums: dict[str, tuple[float, int]], numbers: Numbers) -> None:
    for name, x in numbers.items():
        total, n = sums.get(name, (0.0, 0))
        sums[name] = (total + x.sum().item(), n + x.numel())
