"""What a run says of its steps: a progress bar or now and then a line, warnings once, TensorBoard where asked for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from visreason.errors import UsageError
from visreason.store import Run
from visreason.train import sharding

console = Console(stderr=True, quiet=not sharding.leads())
SILENCE_S = 30
"""Seconds between lines about the steps where no bar can be drawn."""


@contextmanager
def telling(
    run: Run, first: int, steps: int, tensorboard: bool
) -> Iterator[Callable[[int, dict[str, float], list[str]], None]]:
    """What tells of a step (counted from 0, its numbers, warnings about them), of `steps`, the `first` ones done."""
    writer = _tensorboard(run.path, first + 1) if tensorboard and sharding.leads() else None
    warned: set[str] = set()
    told_s = time.monotonic()
    with _progress() as progress, writer or nullcontext():
        task = progress.add_task(run.verb, total=steps, completed=first, numbers="")

        def tell(step: int, metrics: dict[str, float], warnings: list[str]) -> None:
            nonlocal told_s
            for warning in warnings:
                kind = warning.partition(":")[2]
                if kind not in warned:
                    progress.console.print(f"[yellow]step {step + 1}: {warning}")
                    warned.add(kind)
            for name, value in metrics.items() if writer else ():
                writer.add_scalar(name, value, step + 1)
            progress.update(task, advance=1, numbers=_numbers(metrics))
            if not console.is_terminal and time.monotonic() - told_s > SILENCE_S:  # a log of nohup or Slurm
                console.print(f"step {step + 1} of {steps} {_numbers(metrics)}", highlight=False)
                told_s = time.monotonic()

        yield tell


def _numbers(metrics: dict[str, float]) -> str:
    shown = {"loss": "loss", "reward": "reward", "reward/correct": "correct", "completion_length": "length"}
    return " ".join(f"{label} {metrics[k]:.3g}" for k, label in shown.items() if k in metrics)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"), console=console,
    )  # fmt: skip


def _tensorboard(folder: Path, first: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as e:
        raise UsageError(
            f"tensorboard=true needs a package that is not installed ({e}); install visreason[tensorboard]"
        ) from e
    return SummaryWriter(folder / "tensorboard", purge_step=first)
