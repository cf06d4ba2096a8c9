"""What a step of reinforcement learning sampled: its groups, as they are kept and counted.

Axes: P problems, G completions of each.
"""

from dataclasses import dataclass
from typing import Any

import torch

from visreason.record import Sample, from_json, to_json


@dataclass(frozen=True)
class Rollout:
    """Every group of a step, the cursor behind their problems, how long they took, and of that their rewards."""

    groups: list[list[Sample]]
    cursor: int
    seconds: float
    seconds_reward: float = 0.0


def to_row(rollout: Rollout) -> dict[str, Any]:
    """A rollout as plain values, for a checkpoint."""
    return {**vars(rollout), "groups": [[to_json(x) for x in group] for group in rollout.groups]}


def from_row(row: dict[str, Any]) -> Rollout:
    """The rollout that `to_row` made plain."""
    return Rollout(**{**row, "groups": [[from_json(Sample, x) for x in group] for group in row["groups"]]})


def spread(group: list[Sample]) -> float:
    """Largest less smallest reward of a group, without what its lengths were charged."""
    values = [x.score.value - x.score.parts.get("overlong", 0.0) for x in group]
    return max(values) - min(values)


def rollout_metrics(groups: list[list[Sample]]) -> dict[str, float]:
    """Awaker's five curves (reward and its parts, spread, length) and the shares that the tripwires watch."""
    samples = [x for g in groups for x in g]
    n = len(samples)
    values_PG = torch.tensor([[x.score.value for x in g] for g in groups])
    parts = {k for x in samples for k in x.score.parts}
    lengths = [len(x.completion.token_ids) for x in samples]
    answered = [
        (n, x.score.correct) for n, x in zip(lengths, samples, strict=True) if x.score.reason != "errored"
    ]
    of = {
        name: [n for n, correct in answered if correct == right]
        for name, right in (("correct", True), ("wrong", False))
    }
    reasons = [x.score.reason for x in samples]
    return {
        "reward": values_PG.mean().item(),
        "reward_std": values_PG.std(1).mean().item(),
        **{f"reward/{k}": sum(x.score.parts.get(k, 0.0) for x in samples) / n for k in sorted(parts)},
        "completion_length": sum(lengths) / n,
        **{f"completion_length/{name}": sum(some) / len(some) for name, some in of.items() if some},
        "share/truncated": sum(x.completion.finish == "length" for x in samples) / n,
        "share/unparsed": sum(x.score.reason == "unparsed" and x.problem.answer is not None for x in samples)
        / n,
        "share/errored": reasons.count("errored") / n,
        "share/zero_spread": sum(spread(g) == 0 for g in groups) / len(groups),
        "completions": n,
    }
