"""Advantages of a group of completions from their rewards. Axes: P problems, G completions of each.

Rewards come in float64: in float32 the mean of equal numbers can be another one, and a spread of 0 enlarges the rest.
"""

import torch


def group_zscore(rewards_PG: torch.Tensor) -> torch.Tensor:
    """(r - mean) / (std + 1e-4) within each group, std with Bessel's correction (GRPO, arXiv 2402.03300 section 4.1.2;
    the constant as in VLM-R1 and TRL)."""
    return group_mean(rewards_PG) / (rewards_PG.std(1, keepdim=True) + 1e-4)


def group_mean(rewards_PG: torch.Tensor) -> torch.Tensor:
    """r - mean within each group, not divided by the spread (Dr. GRPO, arXiv 2503.20783 section 3.1)."""
    return rewards_PG - rewards_PG.mean(1, keepdim=True)


ADVANTAGES = {"group_zscore": group_zscore, "group_mean": group_mean}
