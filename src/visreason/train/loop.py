"""The training loop: batches in, updates, metrics, checkpoints; resumable at any moment."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from visreason import store
from visreason.errors import RunError, Tripwire
from visreason.model.policy import Policy
from visreason.record import Sample
from visreason.store import METRICS, SAMPLES
from visreason.train import checkpoint, optimizer, sharding, stopping, tripwires, update
from visreason.train.losses import Loss
from visreason.train.precision import precision
from visreason.train.settings import Reinforcement, Training
from visreason.train.telling import console, telling
from visreason.train.update import Forward, Update

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """What one step learns from: updates in order, the loss and what it is computed from, numbers to log, samples to
    keep; the learning rate, where it is not the settings' own; and who is told the step's numbers."""

    updates: list[Update]
    loss: Loss
    metrics: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    temperature: float = 1.0
    forward: Forward = update.log_probs
    rate: float | None = None
    learned: Callable[[dict[str, float]], None] = lambda metrics: None


class Objective(Protocol):
    """Makes the batch of a step. Its state is `cursor`, how many problems were taken so far, and `memory`: plain values
    that a resumed run needs as well."""

    cursor: int
    memory: dict[str, Any]

    @property
    def longest(self) -> int:
        """Tokens of the longest branch that is learned from, or of the longest two that must stay together."""
        ...

    def batch(self, step: int) -> Batch:
        """What step number `step` learns from; moves the cursor on."""
        ...

    def look(self) -> dict[str, float]:
        """Numbers of the held-out data, as heldout/NAME; none where there is none. A smaller heldout/loss is better,
        and without one a larger heldout/reward."""
        ...


@dataclass
class Loop:
    """A training run from its first step to its last: what `fit` repeats, with all it needs at hand."""

    run: store.Run
    policy: Policy
    objective: Objective
    settings: Training
    steps: int

    best: dict[str, float] | None = field(default=None, init=False)
    """The step with the best held-out figures, and these."""
    unparsed: int = field(default=0, init=False)
    """The latest steps in a row with too many completions that had no answer."""

    def __post_init__(self) -> None:
        self.optimizer = optimizer.build(self.policy, self.settings)
        self.keeper = checkpoint.Keeper(self.run.path, self.settings.keep)

    def fit(self, resumed: Path | None) -> bool:
        """Train to the last step, from where the checkpoint at `resumed` stopped. Ends with a checkpoint of the last
        step; or, told to end (SIGTERM), with one of the step under way: then it returns false.

        Raises Tripwire when training goes wrong; the last good checkpoint stays.
        """
        first = self._resume(resumed) if resumed else self._begin()
        said = telling(self.run, first, self.steps, self.settings.tensorboard)
        with said as tell, stopping.asked() as ended:
            for step in range(first, self.steps):
                metrics, warnings = self._tried(step)
                tell(step, metrics, warnings)
                last = step + 1 == self.steps
                stopped = sharding.any_of(ended()) and not last
                if self._betters(metrics) or (step + 1) % self.settings.save_every == 0 or last or stopped:
                    self._save(step + 1)
                self.keeper.poll()
                if stopped:
                    self.keeper.settle()
                    console.print(
                        f"told to end: step {step + 1} is saved; the same command goes on from there"
                    )
                    return False
        return True

    def _tried(self, step: int) -> tuple[dict[str, float], list[str]]:
        """A step's numbers, and warnings about them. Raises Tripwire and RunError with what to do."""
        try:
            metrics = self._step(step)
            return metrics, self._warnings(metrics)
        except Tripwire as e:  # which every process meets
            self.keeper.settle()
            raise Tripwire(f"step {step + 1}: {e}. {self._way_on()}") from e
        except torch.OutOfMemoryError as e:
            raise RunError(
                f"step {step + 1}: the memory of {self.policy.device} is full ({str(e).splitlines()[0]}); "
                "lower micro_batch_tokens, max_pixels or the length of completions, or give "
                "checkpoint_activations=true"
            ) from e

    def _way_on(self) -> str:
        """How a run that was stopped goes on with other settings."""
        done = store.checkpoints(self.run.path)
        if not done:
            start = "from the beginning"
        elif checkpoint.sharded(done[-1]):
            start = f"from the model that `visreason merge checkpoint={done[-1]}` makes"
        else:
            start = f"from model={done[-1]}"
        return f"Give the new settings with another out=..., {start}"

    def _begin(self) -> int:
        self.run.rewind({METRICS: 0, SAMPLES: 0})
        return 0

    def _resume(self, folder: Path) -> int:
        state = checkpoint.load_state(folder)
        if (was := state.get("precision")) != (now := precision(self.settings)):
            raise RunError(
                f"expected to go on in {was}, in which {folder} was trained, found {now} by default on this device; go "
                "on where it began, or start again with precision given"
            )
        checkpoint.load_into(folder, self.policy, self.optimizer, state)
        self.objective.cursor, self.objective.memory = state["cursor"], state["memory"]
        self.run.rewind(state["files"])
        self.best, best = state.get("best"), checkpoint.best_step(state)
        self.unparsed = state.get("unparsed", 0)
        sharding.once(lambda: checkpoint.prune(self.run.path, self.settings.keep, best))
        return state["step"]

    def _step(self, step: int) -> dict[str, float]:
        start = time.perf_counter()
        batch = self.objective.batch(step)
        # Before the updates, so that the samples a tripwire names can be looked at.
        self.run.append(SAMPLES, batch.samples)
        rate = batch.rate
        if rate is None:
            rate = optimizer.learning_rate(self.settings, step, self.steps)
        optimizer.set_rate(self.optimizer, rate)
        parts = [
            update.apply(
                self.policy, self.optimizer, u, batch.loss, self.settings, batch.temperature, batch.forward
            )
            for u in batch.updates
        ]
        seconds = time.perf_counter() - start
        metrics = {"step": step + 1, **batch.metrics, **_joined(parts), "lr": rate, "seconds": seconds}
        batch.learned(metrics)
        metrics["tokens_per_s"] = metrics.get("tokens", 0) / seconds
        metrics |= self._looked(step + 1)
        self.run.append(
            METRICS,
            [{k: round(v, 6) if isinstance(v, float) and abs(v) > 1e-3 else v for k, v in metrics.items()}],
        )
        return metrics

    def _looked(self, step: int) -> dict[str, float]:
        """Held-out figures after a step, where it is time to look."""
        if step not in (1, self.steps) and step % self.settings.heldout_every:
            return {}
        start = time.perf_counter()
        found = self.objective.look()
        return {**found, "seconds_heldout": time.perf_counter() - start} if found else {}

    def _betters(self, metrics: dict[str, float]) -> bool:
        """Whether a step is worth a checkpoint: its held-out figures are the best so far, which are remembered. The
        first step is what others are compared with, and nearly the model that the run began with."""
        found = {name: x for name, x in metrics.items() if name.startswith("heldout/")}
        if not found or not _goodness(found) > (_goodness(self.best) if self.best else -math.inf):
            return False  # as of a figure that is no number
        self.best = {"step": int(metrics["step"]), **found}
        return metrics["step"] > 1

    def _warnings(self, metrics: dict[str, float]) -> list[str]:
        if isinstance(self.settings, Reinforcement):
            self.unparsed = tripwires.unparsed_steps(self.unparsed, metrics, self.settings)
            return tripwires.check(metrics, self.settings, self.unparsed)
        return []

    def _save(self, step: int) -> None:
        made = self.objective
        state = {"step": step, "cursor": made.cursor, "memory": made.memory}
        state |= {"best": self.best, "unparsed": self.unparsed, "precision": precision(self.settings)}
        state["files"] = self.run.cursor(METRICS, SAMPLES)
        self.keeper.save(step, self.policy, self.optimizer, state, last=step == self.steps)


def _goodness(found: dict[str, float]) -> float:
    """What held-out figures are compared by, see `Objective.look`."""
    return -found["heldout/loss"] if "heldout/loss" in found else found["heldout/reward"]


def _joined(parts: list[dict[str, float]]) -> dict[str, float]:
    """Numbers of a step's updates: amounts summed, the largest of the largest, all else averaged."""
    sums = {"tokens", "tokens_saved", "tokens_lost_to_splits", "seconds_update"}
    joined = {}
    for name in parts[0] if parts else {}:
        values = [p[name] for p in parts]
        mean = sum(values) / (1 if name in sums else len(parts))
        joined[name] = max(values) if name.endswith(update.LARGEST) else mean
    return joined


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
    return settings.steps or math.ceil(settings.epochs * problems / settings.problems_per_step)
