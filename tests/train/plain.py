"""The losses once more, as loops over Python numbers with derivatives by hand. Nothing is shared with `train`."""

import math
from dataclasses import dataclass, field


@dataclass
class Token:
    """What is known of one completion token; `old` and `sampler` are the policy's own where they are missing."""

    logp: float
    weight: float
    advantage: float = 0.0
    old: float | None = None
    sampler: float | None = None
    reference: float | None = None


@dataclass
class Result:
    """The loss, its derivative by every log-prob, and how many tokens were clipped or bounded."""

    loss: float = 0.0
    gradient: list[float] = field(default_factory=list)
    clipped: int = 0
    bounded: int = 0
    capped: int = 0


def sft(sequences: list[list[Token]]) -> Result:
    result = Result()
    for sequence in sequences:
        for token in sequence:
            result.loss -= token.weight * token.logp
            result.gradient.append(-token.weight)
    return result


def policy_gradient(
    sequences: list[list[Token]],
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
    ratio: str,
    kl: float,
    tis_cap: float | None,
) -> Result:
    result = Result()
    for sequence in sequences:
        logs = [t.logp - t.old if t.old is not None else 0.0 for t in sequence]
        if ratio == "sequence":
            logs = [sum(logs) / len(logs)] * len(sequence)
        slopes = []
        for token, log in zip(sequence, logs, strict=True):
            gain, slope = clipped_gain(math.exp(log), token.advantage, clip_low, clip_high, dual_clip, result)
            truncated = 1.0
            if token.sampler is not None and tis_cap is not None:
                truncated = math.exp((token.old if token.old is not None else token.logp) - token.sampler)
                result.capped += truncated > tis_cap
                truncated = min(truncated, tis_cap)
            result.loss -= token.weight * truncated * gain
            slopes.append(-token.weight * truncated * slope * math.exp(log))
        if ratio == "sequence":
            slopes = [sum(slopes) / len(slopes)] * len(sequence)
        for token, slope in zip(sequence, slopes, strict=True):
            if token.reference is not None:
                d = token.reference - token.logp
                result.loss += token.weight * kl * (math.exp(d) - d - 1)
                slope += token.weight * kl * (1 - math.exp(d))
            result.gradient.append(slope)
    return result


def clipped_gain(
    r: float, a: float, low: float, high: float, dual: float | None, result: Result
) -> tuple[float, float]:
    """min(r a, clip(r) a), for a < 0 not under dual a; and its derivative by r."""
    inside = min(max(r, 1 - low), 1 + high)
    gain, slope = (r * a, a) if r * a <= inside * a else (inside * a, 0.0)
    result.clipped += inside * a < r * a
    if dual is not None and a < 0 and gain < dual * a:
        result.bounded += 1
        gain, slope = dual * a, 0.0
    return gain, slope
