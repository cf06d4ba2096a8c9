"""Held-out data: kept apart from what is learned, and what a run says of its best step on it. The objectives look at
it, and the loop says when."""

from collections.abc import Callable
from typing import Any, TypeVar

from visreason import store
from visreason.data.pairs import content
from visreason.errors import DataError
from visreason.record import Problem
from visreason.train import checkpoint
from visreason.train.settings import Training
from visreason.train.telling import console

T = TypeVar("T")


def apart(
    items: list[T], held: list[T], problem_of: Callable[[T], Problem], rejected: list[dict[str, Any]]
) -> list[T]:
    """The items whose problem is not held out, whatever its id; the others go to `rejected`.

    Raises DataError when none is left.
    """
    known = {content(problem_of(i)) for i in held}
    kept = []
    for item in items:
        problem = problem_of(item)
        if content(problem) not in known:
            kept.append(item)
            continue
        reason = "not learned: its problem is held out"
        rejected.append({"line": None, "reason": reason, "row": {"id": problem.id}})
    if not kept:
        raise DataError(
            f"expected problems to train on, found all {len(items)} of them held out; give other data as heldout"
        )
    return kept


def plan(settings: Training, held: int) -> dict[str, object]:
    """The row of a run's plan, where so many items are held out."""
    looked = f"{min(held, settings.heldout_limit):,} looked at every {settings.heldout_every} steps"
    return {"held out": f"{held:,}, {looked}"} if held else {}


def best(run: store.Run, found: dict[str, float] | None) -> dict[str, Any]:
    """What the summary says of the step with the best figures, if any was looked at; said here as well."""
    if found is None:
        return {}
    folder = checkpoint.place(run.path, int(found["step"]))
    figures = ", ".join(f"{name} {x:.4g}" for name, x in found.items() if name != "step")
    if not folder.exists():
        console.print(f"[bold yellow]on held-out data no step was better than the first ({figures})")
        return {"best": found}
    more = "; visreason merge makes it a model" if checkpoint.sharded(folder) else ""
    console.print(f"best on held-out data: {folder} ({figures}){more}", soft_wrap=True)
    return {"best": {"checkpoint": str(folder.relative_to(run.path)), **found}}
