"""The supervised objective: cross-entropy on written completions, packed in a forest."""

from dataclasses import dataclass, field
from typing import Any

import torch

from visreason.data.examples import Example
from visreason.model.forest import Branch, Tree
from visreason.model.load import Policy
from visreason.prompt import Style, messages
from visreason.train import losses
from visreason.train.loop import Batch, order
from visreason.train.settings import Training
from visreason.train.update import Update


@dataclass
class SFT:
    """Batches of examples in shuffled passes over the data."""

    policy: Policy
    examples: list[Example]
    style: Style
    settings: Training
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
        self.policy.encoder.prompts(
            [messages(e.problem, self.style) for e in chosen]
        )  # one call fills the cache
        trees = [plant_example(self.policy, e, self.style) for e in chosen]
        lengths = [len(b.ids) for t in trees for b in t.branches]
        metrics = {"completion_length": sum(lengths) / len(lengths)}
        return Batch([Update(trees, losses.batch_weight("token", lengths, 0))], losses.sft, metrics)


def plant_example(policy: Policy, example: Example, style: Style) -> Tree:
    """The example's completions as branches of its prompt, every token of weight 1."""
    prompt = policy.encoder.prompt(messages(example.problem, style))
    learned = [policy.encoder.sampled(c) for c in example.completions]
    return Tree(prompt, tuple(Branch(ids, torch.ones(len(ids)), name=example.problem.id) for ids in learned))
