"""Log-probabilities of branch tokens: the model's trunk, then the head in chunks, so that full logits never exist.

Axes: S branch tokens, D hidden, V vocabulary.
"""

from typing import Any, NamedTuple

import torch

from visreason.model.forest import Forest

CHUNK_NUMBERS = 1 << 25
"""Logits held at a time: 128 MiB in float32, whatever the vocabulary."""


class Logps(NamedTuple):
    """logps_S of the target tokens with gradient, entropy_S of the distributions without (or None); nats, float32."""

    logps_S: torch.Tensor
    entropy_S: torch.Tensor | None


def hidden_states(model: Any, forest: Forest) -> torch.Tensor:
    """Final hidden states (S, D) at the branch tokens of a forest, in one forward of the row."""
    shared = _shares(forest)
    out = model.model(
        input_ids=forest.input_ids,
        position_ids=forest.positions,
        pixel_values=forest.pixels,
        image_grid_thw=forest.grid_N3,
        mm_token_type_ids=(forest.input_ids == model.config.image_token_id).int(),
        use_cache=False,
        **({"forest": forest.layout} if shared else {}),
    )
    return out.last_hidden_state[0, forest.branch_S]


def forest_logps(model: Any, forest: Forest, temperature: float = 1.0, entropy: bool = False) -> Logps:
    """Log-probabilities of every branch token of a forest under softmax(logits / temperature)."""
    hidden_SD = hidden_states(model, forest)
    weight_VD = model.get_output_embeddings().weight
    if torch.is_autocast_enabled(hidden_SD.device.type):
        hidden_SD = hidden_SD.to(torch.get_autocast_dtype(hidden_SD.device.type))
    logps_S, entropy_S = _Head.apply(hidden_SD, weight_VD, forest.targets_S, temperature, entropy)
    return Logps(logps_S, entropy_S if entropy else None)


class _Head(torch.autograd.Function):
    """log_softmax(hidden @ weight.T / temperature)[target] in chunks of rows. The probabilities of a single chunk are
    kept for the backward; those of several are made again."""

    @staticmethod
    def forward(ctx: Any, hidden_SD, weight_VD, targets_S, temperature: float, entropy: bool):  # type: ignore[override]
        logps_S = torch.empty(len(hidden_SD), dtype=torch.float32, device=hidden_SD.device)
        ctx.weight_dtype, weight_VD = weight_VD.dtype, weight_VD.to(hidden_SD.dtype)
        entropy_S = torch.empty_like(logps_S)
        chunks = _chunks(len(hidden_SD), len(weight_VD))
        keep = len(chunks) == 1 and any(ctx.needs_input_grad)
        probs_CV = None
        for rows in chunks:
            logits = _logits(hidden_SD[rows], weight_VD, temperature)
            lse = logits.logsumexp(-1)
            logps_S[rows] = logits.gather(-1, targets_S[rows, None])[:, 0] - lse
            if entropy or keep:
                probs_CV = (logits - lse[:, None]).exp_()
            if entropy:
                entropy_S[rows] = lse - logits.mul_(probs_CV).sum(-1)
        ctx.save_for_backward(hidden_SD, weight_VD, targets_S, probs_CV if keep else None)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy_S)
        return logps_S, entropy_S

    @staticmethod
    def backward(ctx: Any, grad_S, _):  # type: ignore[override]
        hidden_SD, weight_VD, targets_S, probs_CV = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden_SD)
        # In bfloat16 each chunk would round the sum of those before: 2 % off after 74 chunks (docs/log.md).
        exact = torch.promote_types(ctx.weight_dtype, torch.float32)
        grad_weight = torch.zeros_like(weight_VD, dtype=exact) if ctx.needs_input_grad[1] else None
        for rows in _chunks(len(hidden_SD), len(weight_VD)):
            probs = probs_CV
            if probs is None:
                probs = _logits(hidden_SD[rows], weight_VD, ctx.temperature).softmax(-1)
            scale_C = grad_S[rows, None] / ctx.temperature
            grad_logits = (probs * -scale_C).scatter_add_(-1, targets_S[rows, None], scale_C)
            grad_logits = grad_logits.to(hidden_SD.dtype)
            grad_hidden[rows] = grad_logits @ weight_VD
            if grad_weight is not None:
                grad_weight += grad_logits.T @ hidden_SD[rows]
        if grad_weight is not None:
            grad_weight = grad_weight.to(ctx.weight_dtype)
        return grad_hidden, grad_weight, None, None, None


def _logits(hidden_SD: torch.Tensor, weight_VD: torch.Tensor, temperature: float) -> torch.Tensor:
    logits = (hidden_SD @ weight_VD.T).float()
    return logits.div_(temperature) if temperature != 1.0 else logits


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_NUMBERS // vocabulary)
    return [slice(i, i + size) for i in range(0, rows, size)]


def _shares(forest: Forest) -> bool:
    """Whether the row needs the forest's attention at all: one tree of one branch is an ordinary causal sequence."""
    return len(forest.layout.trees) > 1 or len(forest.layout.trees[0][1]) != 1
