"""The training loop: batches in, updates, metrics, checkpoints; resumable at any moment."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from visreason import store
from visreason.errors import Tripwire, UsageError
from visreason.model.load import Policy
from visreason.record import Sample
from visreason.train import checkpoint, optimizer, tripwires, update
from visreason.train.losses import Loss
from visreason.train.settings import Reinforcement, Training
from visreason.train.update import Update

METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"
console = Console(stderr=True)
T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """What one step learns from: updates in order, the loss, numbers to log, samples to keep."""

    updates: list[Update]
    loss: Loss
    metrics: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    temperature: float = 1.0


class Objective(Protocol):
    """Makes the batch of a step. `cursor` is how many problems were taken so far; it alone is its state."""

    cursor: int

    def batch(self, step: int) -> Batch: ...


def fit(
    run: store.Run,
    policy: Policy,
    objective: Objective,
    settings: Training,
    steps: int,
    state: dict[str, Any] | None,
) -> None:
    """Train to `steps`, from where `state` stopped. Ends with a checkpoint of the last step.

    Raises Tripwire when training goes wrong; the last good checkpoint stays.
    """
    adamw = optimizer.build(policy, settings)
    first = 0
    if state:
        adamw.load_state_dict(state["optimizer"])
        first, objective.cursor = state["step"], state["cursor"]
        run.rewind(state["files"])
        checkpoint.prune(run.path, settings.keep)
    else:
        run.rewind({METRICS: 0, SAMPLES: 0})
    writer = _tensorboard(run.path) if settings.tensorboard else None
    warned: set[str] = set()
    with _progress() as progress:
        task = progress.add_task(run.verb, total=steps, completed=first, numbers="")
        for step in range(first, steps):
            try:
                metrics = _step(policy, adamw, objective, settings, step, steps, run)
                warnings = tripwires.check(metrics, settings) if isinstance(settings, Reinforcement) else []
            except Tripwire as e:
                raise Tripwire(f"step {step + 1}: {e}") from e
            for warning in warnings:
                kind = warning.partition(":")[2]
                if kind not in warned:
                    progress.console.print(f"[yellow]step {step + 1}: {warning}")
                    warned.add(kind)
            for name, value in metrics.items() if writer else ():
                writer.add_scalar(name, value, step + 1)
            progress.update(task, advance=1, numbers=_numbers(metrics))
            if (step + 1) % settings.save_every == 0 or step + 1 == steps:
                _save(run, step + 1, policy, adamw, objective, settings)


def _step(policy, adamw, objective, settings, step, steps, run) -> dict[str, float]:
    start = time.perf_counter()
    batch = objective.batch(step)
    run.append(SAMPLES, batch.samples)  # before the updates, so that those a tripwire names can be looked at
    rate = optimizer.learning_rate(settings, step, steps)
    for group in adamw.param_groups:
        group["lr"] = rate
    parts = [update.apply(policy, adamw, u, batch.loss, settings, batch.temperature) for u in batch.updates]
    seconds = time.perf_counter() - start
    sums = {"tokens", "tokens_saved", "tokens_lost_to_splits", "seconds_update"}
    learned = {
        k: sum(p[k] for p in parts) / (1 if k in sums else len(parts)) for k in (parts[0] if parts else {})
    }
    metrics = {"step": step + 1, **batch.metrics, **learned, "lr": rate, "seconds": seconds}
    metrics["tokens_per_s"] = metrics.get("tokens", 0) / seconds
    run.append(
        METRICS,
        [{k: round(v, 6) if isinstance(v, float) and abs(v) > 1e-3 else v for k, v in metrics.items()}],
    )
    return metrics


def _save(run: store.Run, step: int, policy: Policy, adamw, objective: Objective, settings: Training) -> None:
    state = {"step": step, "cursor": objective.cursor, "files": run.cursor(METRICS, SAMPLES)}
    checkpoint.save(run.path, step, policy, adamw, state, settings.keep)


def order(items: Sequence[T], seed: int, cursor: int, count: int) -> list[T]:
    """The next `count` items of an endless stream of shuffled passes, from `cursor` on. Pure: it needs no state."""
    places = (divmod(i, len(items)) for i in range(cursor, cursor + count))
    return [items[_shuffled(len(items), seed, epoch)[place]] for epoch, place in places]


@lru_cache(maxsize=2)
def _shuffled(n: int, seed: int, epoch: int) -> tuple[int, ...]:
    places = list(range(n))
    random.Random(f"{seed}/{epoch}").shuffle(places)
    return tuple(places)


def total_steps(settings: Training, problems: int) -> int:
    """`steps`, or as many as the epochs need."""
    return settings.steps or max(1, round(settings.epochs * problems / settings.problems_per_step))


def _numbers(metrics: dict[str, float]) -> str:
    shown = {"loss": "loss", "reward": "reward", "reward/correct": "correct", "completion_length": "length"}
    return " ".join(f"{label} {metrics[k]:.3g}" for k, label in shown.items() if k in metrics)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"), console=console,
    )  # fmt: skip


def _tensorboard(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as e:
        raise UsageError(
            f"tensorboard=true needs a package that is not installed ({e}); install visreason[tensorboard]"
        ) from e
    return SummaryWriter(folder / "tensorboard")
