"""The supervised objective: cross-entropy on written completions, packed in a forest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from visreason.data.examples import Example
from visreason.model.forest import Branch, Tree
from visreason.model.policy import Policy
from visreason.prompt import Style
from visreason.train import losses
from visreason.train.loop import Batch, order
from visreason.train.settings import Training
from visreason.train.update import Update, score

BLOCK = 64
"""Held-out examples planted at a time."""


@dataclass
class SFT:
    """Batches of examples in shuffled passes over the data."""

    policy: Policy
    examples: list[Example]
    style: Style
    settings: Training
    heldout: list[Example] = field(default_factory=list)
    cursor: int = 0
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        completions = [c for e in self.examples for c in e.completions]
        return len(self.policy.encoder.sampled(max(completions, key=lambda c: len(c.text))))

    def batch(self, step: int) -> Batch:
        """The next examples, their completions weighed alike token by token."""
        count = self.settings.problems_per_step
        chosen = order(self.examples, self.settings.seed, self.cursor, count)
        self.cursor += count
        trees = plant_examples(self.policy, chosen, self.style)
        lengths = [len(b.ids) for t in trees for b in t.branches]
        metrics = {"completion_length": sum(lengths) / len(lengths)}
        return Batch([Update(trees, losses.batch_weight("token", lengths, 0))], losses.sft, metrics)

    def look(self) -> dict[str, float]:
        """Cross-entropy on held-out completions, nats a token."""
        few, total, tokens = self.heldout[: self.settings.heldout_limit], 0.0, 0
        for i in range(0, len(few), BLOCK):
            for logps in score(
                self.policy, plant_examples(self.policy, few[i : i + BLOCK], self.style), self.settings
            ):
                total, tokens = total - logps.double().sum().item(), tokens + len(logps)
        return {"heldout/loss": total / tokens} if tokens else {}


def plant_examples(policy: Policy, examples: Sequence[Example], style: Style) -> list[Tree]:
    """Every example's completions as branches of its prompt, every token of weight 1."""
    prompts = policy.encoder.all_asked([e.problem for e in examples], style)
    return [
        Tree(p, tuple(_branch(policy.encoder.sampled(c), e.problem.id) for c in e.completions))
        for p, e in zip(prompts, examples, strict=True)
    ]


def _branch(ids: torch.Tensor, name: str) -> Branch:
    return Branch(ids, torch.ones(len(ids)), name=name)
