"""Drawing a token a row from logits. Axes: R rows, V vocabulary."""

import torch

from visreason.engine import Sampling


def sample(
    logits_RV: torch.Tensor,
    sampling: Sampling,
    banned: torch.Tensor,
    noise_RV: torch.Tensor | None,
    said_RV: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (R,) and their log-probabilities (R,) under softmax(logits / temperature).

    `noise_RV` are exponential numbers: the largest p / noise is a draw from p. None is greedy. `said_RV` marks the
    tokens that the repetition penalty lowers, those of the prompt and of the completion so far.

    The log-probabilities are those of the whole distribution, before penalty, bans and cuts, since that is what a
    trainer computes for the same tokens. Greedy answers report the distribution at temperature 1.
    """
    if sampling.temperature > 0:
        logits_RV = logits_RV / sampling.temperature
    logps_RV = logits_RV.log_softmax(-1)
    allowed_RV = penalised(logits_RV, said_RV, sampling).index_fill(-1, banned, -torch.inf)
    if noise_RV is not None:
        allowed_RV = cut(allowed_RV, sampling).softmax(-1) / noise_RV
    ids_R = allowed_RV.argmax(-1)
    return ids_R, logps_RV.gather(-1, ids_R[:, None])[:, 0]


def penalised(logits_RV: torch.Tensor, said_RV: torch.Tensor | None, sampling: Sampling) -> torch.Tensor:
    """Logits after the repetition penalty, which comes to the same before and after a temperature divides them."""
    if said_RV is None:
        return logits_RV
    penalty = sampling.repetition_penalty
    lower_RV = torch.where(logits_RV < 0, logits_RV * penalty, logits_RV / penalty)
    return torch.where(said_RV, lower_RV, logits_RV)


def cut(logits_RV: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Keep the top_k likeliest tokens, and of them the fewest whose probabilities sum to top_p."""
    if 0 < sampling.top_k < logits_RV.shape[-1]:
        least = logits_RV.topk(sampling.top_k).values[:, -1:]
        logits_RV = logits_RV.masked_fill(logits_RV < least, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = logits_RV.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        out = torch.zeros_like(logits_RV, dtype=torch.bool).scatter(-1, order, before >= sampling.top_p)
        logits_RV = logits_RV.masked_fill(out, -torch.inf)
    return logits_RV
