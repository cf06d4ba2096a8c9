"""AdamW over the trained parameters, and the learning rate as a function of the step."""

import math

import torch

from visreason.errors import UsageError
from visreason.model.load import Policy
from visreason.train.settings import Training


def build(policy: Policy, settings: Training) -> torch.optim.AdamW:
    """AdamW with decay on matrices only. Raises UsageError when everything is frozen."""
    named = [(n, p) for n, p in policy.model.named_parameters() if p.requires_grad]
    if not named:
        raise UsageError(
            f"expected parameters to train, found none left by freeze={list(settings.freeze)}; freeze fewer parts"
        )
    matrices = [p for _, p in named if p.ndim > 1]
    vectors = [p for _, p in named if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=settings.lr, betas=settings.betas, foreach=True
    )


def learning_rate(settings: Training, step: int, steps: int) -> float:
    """Rate of a step counted from 0: a linear rise over the warm-up, then constant, or down to 0 at the end.

    >>> from visreason.train.settings import Training
    >>> s = Training(model="m", data="d", lr=1.0, warmup=0.2, schedule="linear")
    >>> [round(learning_rate(s, i, 10), 3) for i in range(10)]
    [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    """
    rise = math.ceil(settings.warmup * steps)
    if step < rise:
        return settings.lr * (step + 1) / rise
    if settings.schedule == "constant":
        return settings.lr
    done = (step - rise) / max(1, steps - rise)
    return settings.lr * (1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done)))
