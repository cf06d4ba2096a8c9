"""What stops a run that has gone wrong, and what only warns."""

from visreason.errors import Tripwire
from visreason.train.settings import Reinforcement


def unparsed_steps(before: int, metrics: dict[str, float], limits: Reinforcement) -> int:
    """How many steps in a row, this one the last, had more completions without an answer than `stop_unparsed`."""
    bound = limits.stop_unparsed
    return before + 1 if bound is not None and metrics.get("share/unparsed", 0.0) > bound else 0


def check(metrics: dict[str, float], limits: Reinforcement, unparsed: int = 0) -> list[str]:
    """Warnings about a step's metrics, the last of so many `unparsed` ones. Raises Tripwire when a fatal bound is
    crossed."""
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
    if limits.stop_entropy_above is not None and metrics.get("entropy", 0.0) > limits.stop_entropy_above:
        raise Tripwire(
            f"the policy's entropy is {metrics['entropy']:.3g} nats a token, above stop_entropy_above="
            f"{limits.stop_entropy_above}: it answers at random; lower lr, temperature or clip_high, or raise kl"
        )
    if unparsed >= limits.stop_unparsed_steps:
        raise Tripwire(
            f"{metrics['share/unparsed']:.0%} of the completions had no answer, above stop_unparsed="
            f"{limits.stop_unparsed} for {unparsed} steps in a row; look at samples.jsonl, lower lr, or give a style "
            "that the model keeps to"
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
