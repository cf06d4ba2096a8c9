"""AdamW, in 32 or 8 bits, or Muon over the trained parameters, and the learning rate as a function of the step."""

import math
from collections import defaultdict
from typing import Any

import torch

from visreason.errors import UsageError
from visreason.model.policy import Policy
from visreason.train.settings import Training

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's quintic iteration (Jordan et al. 2024, kellerjordan.github.io/posts/muon)."""
ITERATIONS = 5
MOMENTUM = 0.95
REST_SHARE = 0.35
"""Of the rate, what embeddings, norms and biases take beside orthogonalised matrices (docs/log.md tried 3/8 and 1)."""


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `orthogonal` step along the nearest semi-orthogonal matrix of their momentum instead.

    Steps are scaled by 0.2 sqrt(longer side), so that their size is that of AdamW's and rates and decay carry over
    (Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2). torch.optim.Muon iterates in bfloat16, which
    CPUs without bfloat16 units take several times as long for; here the iteration keeps the momentum's dtype, and
    matrices of one shape are iterated together.
    """

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        groups = self.param_groups
        self.param_groups = [g for g in groups if not g["orthogonal"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if group["orthogonal"]:
                self._step_matrices(group)

    def _step_matrices(self, group: dict) -> None:
        shapes = defaultdict(list)
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:  # named as AdamW's, whose load_state_dict reads both
                state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(p))
            state["step"] += 1
            momentum = state["exp_avg"].lerp_(p.grad, 1 - MOMENTUM)
            shapes[p.shape].append((p, p.grad.lerp(momentum, MOMENTUM)))  # Nesterov
        for shape, found in shapes.items():
            steps = orthogonal(torch.stack([direction for _, direction in found]))
            scale = 0.2 * math.sqrt(max(shape)) * group["lr"]
            for (p, _), step in zip(found, steps, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=scale)


def orthogonal(x_NAB: torch.Tensor) -> torch.Tensor:
    """Matrices (N, A, B) with their singular values moved towards 1, by Newton-Schulz iteration."""
    a, b, c = NEWTON_SCHULZ
    tall = x_NAB.shape[1] > x_NAB.shape[2]
    x = x_NAB.mT if tall else x_NAB
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def build(policy: Policy, settings: Training) -> torch.optim.Optimizer:
    """The optimizer the settings name, with decay on matrices only. Raises UsageError when everything is frozen, and
    when its package is not installed."""
    named = [(n, p) for n, p in policy.named_parameters() if p.requires_grad]
    if not named:
        raise UsageError(
            f"expected parameters to train, found none left by freeze={list(settings.freeze)}; freeze fewer parts"
        )
    muon = settings.optimizer == "muon"
    hidden = _hidden_matrices(policy) if muon else set()
    rest = {"orthogonal": False, "share": REST_SHARE if muon else 1.0}
    groups = [
        {"params": [p for _, p in named if id(p) in hidden], "orthogonal": True, "share": 1.0},
        {"params": [p for _, p in named if p.ndim > 1 and id(p) not in hidden], **rest},
        {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0, **rest},
    ]
    made, more = (Muon if muon else torch.optim.AdamW), {"foreach": True}
    if settings.optimizer == "adamw8bit":
        made, more = _eight_bits(), {}
    return made(
        [g for g in groups if g["params"]],
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        **more,
    )


def _eight_bits() -> Any:
    """AdamW with moments in 8 bits, block by block (Dettmers et al. 2022, arXiv 2110.02861); those of fewer than 4,096
    numbers stay as they are."""
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as e:
        raise UsageError(
            f"optimizer=adamw8bit needs a package that is not installed ({e}); install visreason[quantized], or take "
            "adamw"
        ) from e
    return AdamW8bit


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def _hidden_matrices(policy: Policy) -> set[int]:
    """Identities of the weights of linear layers, without the head."""
    head = policy.model.get_output_embeddings()
    linear = (m for m in policy.model.modules() if isinstance(m, torch.nn.Linear) and m is not head)
    return {id(m.weight) for m in linear}


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
