"""The preference objective: MPO, or DPO alone, on pairs; each pair is a tree of two branches.

Axes: P pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.progress import track

from visreason.data.pairs import longest_pair
from visreason.errors import RunError
from visreason.model.forest import Branch, Tree
from visreason.model.policy import Policy
from visreason.prompt import Style
from visreason.record import Pair
from visreason.store import Run, read_rows
from visreason.train import losses
from visreason.train.loop import Batch, order
from visreason.train.pair_settings import Preferring
from visreason.train.telling import console
from visreason.train.update import Update, score

REFERENCE, REFERENCE_OF_HELDOUT = "reference.jsonl", "reference_of_heldout.jsonl"
BLOCK = 64
Compared = tuple[Pair, float, float]
"""A pair with the reference's log-probs of its chosen and its rejected completion, nats."""


@dataclass
class MPO:
    """Batches of pairs in shuffled passes over the data. `memory` sums the implicit rewards of all steps so far."""

    policy: Policy
    pairs: list[Compared]
    style: Style
    settings: Preferring
    heldout: list[Compared] = field(default_factory=list)
    cursor: int = 0
    memory: dict[str, Any] = field(default_factory=lambda: {"rewards": 0.0, "n": 0})

    @property
    def longest(self) -> int:
        pair = longest_pair(p for p, _, _ in self.pairs)
        return sum(len(self.policy.encoder.sampled(c)) for c in (pair.chosen, pair.rejected))

    def batch(self, step: int) -> Batch:
        """The next pairs, and the loss with the threshold that the steps before give."""
        count = self.settings.problems_per_step
        chosen = order(self.pairs, self.settings.seed, self.cursor, count)
        self.cursor += count
        trees = plant_pairs(self.policy, [p for p, _, _ in chosen], self.style)
        lengths = [len(t.branches[0].ids) for t in trees]
        even = len(trees) / sum(lengths)
        trees = [
            Tree(t.prompt, (
                _weighed(t.branches[0], even if self.settings.normalize == "token" else 1 / n, good),
                _weighed(t.branches[1], 0.0, bad),
            ))
            for t, n, (_, good, bad) in zip(trees, lengths, chosen, strict=True)
        ]  # fmt: skip
        metrics = {"completion_length": sum(lengths) / len(lengths), "threshold": self._threshold()}
        s = self.settings
        loss = losses.Preference(s.beta, s.dpo, s.bco, s.nll, self._threshold())

        def remember(metrics: dict[str, float]) -> None:
            self.memory["rewards"] += (metrics["reward/chosen"] + metrics["reward/rejected"]) * len(trees)
            self.memory["n"] += 2 * len(trees)

        return Batch([Update(trees, len(trees), whole=True)], loss, metrics, learned=remember)

    def look(self) -> dict[str, float]:
        """Of held-out pairs the share whose chosen side has the larger implicit reward, and DPO's loss."""
        gaps = []
        for i in range(0, len(self.heldout), BLOCK):
            block = self.heldout[i : i + BLOCK]
            sums = _sums(self.policy, [p for p, _, _ in block], self.style, self.settings)
            gaps += [(c - good) - (r - bad) for (c, r), (_, good, bad) in zip(sums, block, strict=True)]
        if not gaps:
            return {}
        loss = losses.mean_logistic([self.settings.beta * gap for gap in gaps])
        return {"heldout/accuracy": sum(gap > 0 for gap in gaps) / len(gaps), "heldout/loss": loss}

    def _threshold(self) -> float:
        mean = self.memory["rewards"] / self.memory["n"] if self.memory["n"] else 0.0
        return mean if self.settings.threshold == "mean" else 0.0


def with_reference(
    run: Run, policy: Policy, pairs: list[Pair], style: Style, settings: Preferring, file: str = REFERENCE
) -> list[Compared]:
    """The pairs with the starting policy's log-probs, computed once and kept in the run's `file`.

    Call it before the first step, or on resume: then they are read. Raises RunError when the file is not whole.
    """
    path = run.path / file
    if not (run.path / "checkpoint").exists():
        run.rewind({file: 0})
        for block in _blocks(pairs):
            rows = zip(block, _sums(policy, block, style, settings), strict=True)
            run.append(file, ({"id": p.problem.id, "chosen": c, "rejected": r} for p, (c, r) in rows))
    rows = [row for _, row in read_rows(path)] if path.exists() else []
    if [row["id"] for row in rows] != [p.problem.id for p in pairs]:
        raise RunError(
            f"expected the reference's log-probs of {len(pairs)} pairs in {path}, found {len(rows)} rows, or others; "
            "start again in another directory (out=...)"
        )
    return [(p, row["chosen"], row["rejected"]) for p, row in zip(pairs, rows, strict=True)]


def _sums(policy: Policy, pairs: list[Pair], style: Style, settings: Preferring) -> list[tuple[float, float]]:
    """Log-probs (nats) of every pair's chosen and rejected completion."""
    sums = [
        logps.double().sum().item() for logps in score(policy, plant_pairs(policy, pairs, style), settings)
    ]
    return list(zip(sums[::2], sums[1::2], strict=True))


def plant_pairs(policy: Policy, pairs: list[Pair], style: Style) -> list[Tree]:
    """A tree for every pair, its chosen completion first, every token of weight 1."""
    prompts = policy.encoder.all_asked([p.problem for p in pairs], style)
    return [
        Tree(
            prompt,
            tuple(Branch(ids, torch.ones(len(ids)), name=p.problem.id)
                  for ids in map(policy.encoder.sampled, (p.chosen, p.rejected))),
        )
        for p, prompt in zip(pairs, prompts, strict=True)
    ]  # fmt: skip


def _weighed(branch: Branch, weight: float, reference: float) -> Branch:
    """The branch with one weight for its tokens, and the reference's sum on its last one."""
    n = len(branch.ids)
    sums = torch.zeros(n)
    sums[-1] = reference
    return Branch(branch.ids, torch.full((n,), weight), {"reference": sums}, branch.name)


def _blocks(pairs: list[Pair]) -> Iterator[list[Pair]]:
    starts = range(0, len(pairs), BLOCK)
    yield from (pairs[i : i + BLOCK] for i in track(starts, "reference", console=console, transient=True))
