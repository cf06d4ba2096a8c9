"""The reward-modelling objective: Bradley-Terry on pairs, each a tree of two branches, in stages.

Axes: P pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from visreason.data.pairs import longest_pair
from visreason.errors import DataError, RunError, UsageError
from visreason.model import value_head
from visreason.model.encode import Prompt
from visreason.model.forest import Tree
from visreason.model.parts import drop_lm_head
from visreason.model.policy import Policy
from visreason.prompt import Style
from visreason.record import Pair
from visreason.reward.learned import BLOCK, turn_tree
from visreason.reward.ranking import Ranked
from visreason.train import losses, optimizer
from visreason.train.loop import Batch, order
from visreason.train.losses import BradleyTerry
from visreason.train.pair_settings import RewardModelling, Stage
from visreason.train.update import Update, scores, values


def with_head(policy: Policy, path: str, settings: RewardModelling) -> None:
    """Give a policy the value head at `path` (a directory or hub id), or a new one where there is none."""
    width = policy.base.config.get_text_config().hidden_size
    trained = value_head.find(path)
    head = value_head.read(path, width) if trained else value_head.ValueHead(width, seed=settings.seed)
    head.style = settings.style
    policy.value_head = head.to(policy.device)
    if settings.lm_head == "drop":
        drop_lm_head(policy)


def rank(policy: Policy, pairs: Sequence[Pair], layout: Style, settings: RewardModelling) -> list[Ranked]:
    """Every pair with its scores and lengths. Raises DataError for a problem that can't be read, RunError for a score
    that is not finite."""
    found: list[Ranked] = []
    for block in (pairs[i : i + BLOCK] for i in range(0, len(pairs), BLOCK)):
        prompts = policy.encoder.all_asked([p.problem for p in block], layout)
        trees = [pair_tree(policy, prompt, pair) for prompt, pair in zip(prompts, block, strict=True)]
        scored = scores(policy, trees, settings)
        for pair, chosen, rejected in zip(block, scored[::2], scored[1::2], strict=True):
            if not math.isfinite(chosen - rejected):
                raise RunError(
                    f"expected finite scores of problem {pair.problem.id!r}, found {chosen} and {rejected}: the reward "
                    "model has diverged; lower lr, or take precision=float32"
                )
            tokens = [len(policy.encoder.completion(c.text)) for c in (pair.chosen, pair.rejected)]
            found.append(Ranked(pair, chosen, rejected, *tokens))
    return found


def pair_tree(policy: Policy, prompt: Prompt, pair: Pair) -> Tree:
    """A pair as a tree of two branches, the chosen side first."""
    return turn_tree(policy, prompt, (pair.chosen.text, pair.rejected.text), pair.problem.id)


@dataclass(frozen=True)
class Stretch:
    """A stage with its pairs and its first step; the rate rises and falls within it."""

    pairs: list[Pair]
    settings: RewardModelling
    first: int
    steps: int


@dataclass
class RewardModel:
    """Batches of pairs, stage by stage; looks at the held-out pairs now and then."""

    policy: Policy
    stretches: list[Stretch]
    heldout: list[Pair]
    style: Style
    settings: RewardModelling
    cursor: int = 0
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        pair = longest_pair(p for s in self.stretches for p in s.pairs)
        return sum(len(self.policy.encoder.completion(c.text)) for c in (pair.chosen, pair.rejected))

    def batch(self, step: int) -> Batch:
        """The next pairs of the step's stage."""
        stretch = next(s for s in reversed(self.stretches) if s.first <= step)
        count, place = self.settings.problems_per_step, step - stretch.first
        chosen = order(stretch.pairs, self.settings.seed, place * count, count)
        self.cursor += count
        prompts = self.policy.encoder.all_asked([p.problem for p in chosen], self.style)
        trees = [self._tree(prompt, pair) for prompt, pair in zip(prompts, chosen, strict=True)]
        rate = optimizer.learning_rate(stretch.settings, place, stretch.steps)
        loss = BradleyTerry(self.settings.centre, self.settings.along)
        metrics = {"stage": self.stretches.index(stretch) + 1}
        return Batch([Update(trees, len(trees), whole=True)], loss, metrics, forward=values, rate=rate)

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.stretches[-1].first + self.stretches[-1].steps

    def _tree(self, prompt: Prompt, pair: Pair) -> Tree:
        tree = pair_tree(self.policy, prompt, pair)
        if not self.settings.margins:
            return tree
        if pair.margin is None:
            raise DataError(
                f"margins=true needs a margin of every pair, {pair.problem.id!r} has none; leave it out"
            )
        margin = pair.margin
        branches = (replace(b, fields={"margin": torch.full((len(b.ids),), margin)}) for b in tree.branches)
        return Tree(tree.prompt, tuple(branches))

    def look(self) -> dict[str, float]:
        """Accuracy on held-out pairs, and the Bradley-Terry loss."""
        few = self.heldout[: self.settings.heldout_limit]
        ranked = rank(self.policy, few, self.style, self.settings)
        gaps = [r.chosen - r.rejected for r in ranked]
        return {
            "heldout/accuracy": sum(r.right for r in ranked) / len(ranked),
            "heldout/loss": losses.mean_logistic(gaps),
        }


def stretches(settings: RewardModelling, pairs: list[Pair]) -> list[Stretch]:
    """The recipe's stages with their pairs and steps. Raises UsageError for a stage without pairs."""
    stages = settings.stages or (Stage(lr=settings.lr, epochs=settings.epochs),)
    made: list[Stretch] = []
    for i, stage in enumerate(stages):
        kept = [
            p for p in pairs if stage.pairs == "all" or bool(p.problem.images) == (stage.pairs == "images")
        ]
        if not kept:
            raise UsageError(
                f"expected pairs for stage {i + 1} ({stage.pairs}), found none; leave the stage out"
            )
        steps = settings.steps or math.ceil(stage.epochs * len(kept) / settings.problems_per_step)
        first = made[-1].first + made[-1].steps if made else 0
        made.append(Stretch(kept, settings.model_copy(update={"lr": stage.lr}), first, steps))
    return made
