"""Visual tokens are never sampled: vLLM is told to ban them, and log-probs are given as they were before the ban."""

import math

BAN = -100.0
"""Added to the logits of visual tokens: a sampled one breaks the forward that follows."""


def bias_of(temperature: float) -> float:
    """What the ban adds to a log-prob at a temperature; greedy answers report the distribution at temperature 1."""
    return BAN / (temperature or 1.0)


def before_ban(logp: float, banned_logps: list[float], bias: float) -> float:
    """The log-probability of a token before `bias` was added to the logits of the banned ones.

    With q the probabilities after the bias and p before it, p_v / p_a = q_v exp(-bias) / q_a for a banned v and a token
    a that is not, and all p sum to 1: log p_a = log q_a - log(1 + sum of q_v exp(-bias)), but for q_v itself, under
    exp(bias).

    >>> from math import exp, log
    >>> kept, banned, bias = 1 + exp(0.5), 2.0, -100.0
    >>> round(before_ban(log(1 / kept), [log(banned / kept) + bias], bias) - log(1 / (kept + banned)), 9)
    0.0
    """
    mass = sum(math.exp(v - bias) for v in banned_logps)
    return logp - math.log1p(mass)
