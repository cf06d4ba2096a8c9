"""Hand-made forests of random numbers: what a loss sees of a batch, without a model behind it."""

import torch

from tests.model import tiny
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Forest, Tree, plant
from visreason.model.policy import Policy
from visreason.train.losses import token_weights

LENGTHS = ((5, 2, 9), (4,), (7, 1))
"""Completion tokens of the branches of three trees."""


def text_prompt(tokens: int) -> Prompt:
    ids = torch.arange(10, 10 + tokens)
    return Prompt(ids, torch.arange(tokens).expand(3, -1), None, None)


def random_fields(
    tokens: int, names: tuple[str, ...], logps: torch.Tensor, generator: torch.Generator
) -> dict:
    """One advantage for the whole completion, and log-probs half a nat around `logps`."""
    fields = {"advantages": torch.randn(1, generator=generator).expand(tokens).clone()}
    for name in names:
        fields[name] = logps + 0.5 * torch.randn(tokens, generator=generator)
    return fields


def random_forest(names: tuple[str, ...], normalize: str, seed: int = 0) -> tuple[torch.Tensor, Forest]:
    """Log-probs (S,) of a policy, with gradient, and the forest of the completions they belong to."""
    generator = torch.Generator().manual_seed(seed)
    trees, logps = [], []
    for lengths in LENGTHS:
        branches = []
        for n in lengths:
            logps.append(-3 * torch.rand(n, generator=generator))
            fields = random_fields(n, names, logps[-1], generator)
            branches.append(
                Branch(torch.arange(n), token_weights(normalize, n), fields, name=f"p{len(trees)}")
            )
        trees.append(Tree(text_prompt(3), tuple(branches)))
    return torch.cat(logps).requires_grad_(), plant(trees)


def tiny_policy(name: str = "qwen2_5_vl") -> Policy:
    """A random model without a processor: it can score forests and be trained."""
    return Policy(tiny.build(name), None, None, "tiny", "segments")  # type: ignore[arg-type]


def with_fields(
    trees: list[Tree], logps: list[torch.Tensor], names: tuple[str, ...], seed: int
) -> list[Tree]:
    """The trees with everything a policy gradient reads, the other policies' log-probs near `logps` (one a branch)."""
    generator, left = torch.Generator().manual_seed(seed), iter(logps)
    return [
        Tree(t.prompt, tuple(Branch(b.ids, b.weights, random_fields(len(b.ids), names, next(left), generator), b.name)
                             for b in t.branches))
        for t in trees
    ]  # fmt: skip
