"""What stops a run that has gone wrong, and what only warns."""

from visreason.errors import Tripwire
from visreason.train.settings import Reinforcement


def check(metrics: dict[str, float], limits: Reinforcement) -> list[str]:
    """Warnings about a step's metrics. Raises Tripwire when a fatal bound is crossed."""
    if metrics.get("kl", 0.0) > limits.stop_kl:
        raise Tripwire(
            f"KL to the reference is {metrics['kl']:.3g} nats a token, above stop_kl={limits.stop_kl}; lower lr or "
            "raise kl"
        )
    if metrics.get("entropy", 1.0) < limits.stop_entropy:
        raise Tripwire(
            f"the policy's entropy is {metrics['entropy']:.3g} nats a token, under stop_entropy={limits.stop_entropy}: "
            "it has collapsed to one answer; lower lr or raise clip_high"
        )
    advice = {
        "truncated": (limits.warn_truncated, "raise max_completion_tokens; cut-off answers teach brevity"),
        "unparsed": (limits.warn_unparsed, "look at samples.jsonl; does the style fit the model?"),
        "zero_spread": (limits.warn_zero_spread, "the problems are too easy or too hard to learn from"),
    }
    return [
        f"{share:.0%} {name.replace('_', ' ')}: {what}"
        for name, (bound, what) in advice.items()
        if (share := metrics.get(f"share/{name}", 0.0)) > bound
    ]
