"""One optimizer step: trees into forests under the token budget, their losses summed, one update."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from visreason.errors import Tripwire
from visreason.model.forest import Forest, Tree, plant
from visreason.model.policy import Policy
from visreason.train import sharding
from visreason.train.losses import Loss, Numbers
from visreason.train.settings import Training

LARGEST = "/largest"
"""How the name of a number ends of which the largest is logged, not the mean."""
T = TypeVar("T")
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


@dataclass
class _Tally:
    """What the forwards of an update came to: summed loss, tokens, sums and numbers of what is logged, and the
    losses that are not finite, with their samples."""

    loss: float = 0.0
    tokens: int = 0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, numbers: Numbers) -> None:
        for name, x in numbers.items():
            self._add(name, (x.max() if name.endswith(LARGEST) else x.sum()).item(), x.numel())

    def __iadd__(self, other: "_Tally") -> "_Tally":
        self.loss += other.loss
        self.tokens += other.tokens
        self.wrong += other.wrong
        for name, (x, n) in other.sums.items():
            self._add(name, x, n)
        return self

    def _add(self, name: str, x: float, n: int) -> None:
        total, count = self.sums.get(name, (0.0, 0))
        largest = name.endswith(LARGEST)
        self.sums[name] = (max(total, x), 1) if largest else (total + x, count + n)


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

    Raises Tripwire on a non-finite loss or gradient, before the weights change, in every process.
    """
    start = time.perf_counter()
    own = _Tally()
    batches, lost = sharding.micro_batches(policy, update.trees, settings.micro_batch_tokens, update.whole)
    for batch, planted in sharding.planted(policy, batches):
        value = _loss(policy, batch, planted, lambda forest: forward(policy, forest, temperature), loss, own)
        (value / update.weight).backward()
    tally = _Tally()
    for part in sharding.gather(own):
        tally += part
    trained = [p for _, p in policy.named_parameters() if p.grad is not None]
    norm = sharding.whole(torch.nn.utils.clip_grad_norm_(trained, settings.clip_norm))
    if tally.wrong or not torch.isfinite(norm):
        optimizer.zero_grad(set_to_none=True)
        raise _not_finite(tally.wrong, norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    alone = sum(len(t.prompt.ids) - 1 + len(b.ids) for t in update.trees for b in t.branches)
    return {
        "loss": tally.loss / update.weight,
        "grad_norm": norm.item(),
        **{k: s / n for k, (s, n) in tally.sums.items()},
        "tokens": tally.tokens,
        "tokens_saved": alone - tally.tokens,
        "tokens_lost_to_splits": lost,
        "seconds_update": time.perf_counter() - start,
    }


def _loss(
    policy: Policy,
    batch: sharding.MicroBatch,
    planted: Forest,
    forward: Callable[[Forest], tuple[torch.Tensor, Numbers]],
    loss: Loss,
    tally: _Tally,
) -> torch.Tensor:
    """A micro-batch's loss, with gradient; its numbers are added to the tally."""
    forest = planted.to(policy.device)
    output, logged = forward(forest)
    filler = 0 * output[-1]  # teaches nothing
    if not batch.trees:
        return filler
    learned = plant(batch.trees, read=False).to(policy.device) if batch.filler else forest
    value, numbers = loss(batch.own(output), learned)
    if not torch.isfinite(value):
        tally.wrong.append(f"{value.item()} on a micro-batch with {', '.join(dict.fromkeys(learned.names))}")
    tally.loss += value.item()
    tally.tokens += learned.layout.tokens
    tally.add({**numbers, **{name: batch.own(x) for name, x in logged.items()}})
    return value + filler if batch.filler else value


def score(
    policy: Policy, trees: list[Tree], settings: Training, temperature: float = 1.0
) -> list[torch.Tensor]:
    """Log-probs of every branch, each (C,) on the CPU, in order of trees and branches, without gradient."""

    def logps(forest: Forest) -> list[torch.Tensor]:
        return list(policy.logps(forest, temperature).logps_S.cpu().split(forest.lengths_B.tolist()))

    return _of_branches(policy, trees, settings, logps)


def scores(policy: Policy, trees: list[Tree], settings: Training) -> list[float]:
    """A reward model's score of every branch, in order of trees and branches, without gradient."""
    return _of_branches(policy, trees, settings, lambda forest: policy.scores(forest).tolist())


@torch.no_grad()
def _of_branches(
    policy: Policy, trees: list[Tree], settings: Training, found: Callable[[Forest], list[T]]
) -> list[T]:
    """What is found of every branch of forests within the budget, in order of trees and branches."""
    out: list[T] = []
    batches, _ = sharding.micro_batches(policy, trees, settings.micro_batch_tokens)
    for batch, forest in sharding.planted(policy, batches):
        of_branches = found(forest)
        out += of_branches if batch.filler is None else of_branches[:-1]
    return sharding.in_order(trees, out)


def _not_finite(wrong: list[str], norm: torch.Tensor) -> Tripwire:
    if wrong:
        return Tripwire(f"the loss is {wrong[0]}; look at these samples, lower lr, or take precision=float32")
    return Tripwire(f"the gradient's norm is {norm.item()}; lower lr or clip_norm, or take precision=float32")
