"""What one check may cost, in steps of comparing and reckoning, and in processor time of symbolic work.

Every operation is bounded by itself (digits, terms, the time of one symbolic question); this bounds how many of them
long lists, many options and many accepted answers may ask for. Steps are counted, so a verdict does not depend on the
machine; one takes about a microsecond. Outside of `bounded` nothing is counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

MAX_STEPS, SYMBOLIC_S = 500_000, 1.2


class Spent(Exception):
    """A check would cost more than one may."""


@dataclass
class Budget:
    """What is left of it."""

    steps: int
    seconds: float


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def bounded() -> Iterator[Budget]:
    """Everything within shares one budget."""
    budget = Budget(MAX_STEPS, SYMBOLIC_S)
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


def spend(steps: int) -> None:
    """Count steps. Raises Spent when none are left."""
    budget = _budget.get()
    if budget is not None:
        budget.steps -= steps
        if budget.steps < 0:
            raise Spent(f"over {MAX_STEPS} steps")


def seconds_left(most: float) -> float:
    """Processor time that the next symbolic question may take. Raises Spent when none is left."""
    budget = _budget.get()
    if budget is None:
        return most
    if budget.seconds <= 0:
        raise Spent(f"over {SYMBOLIC_S} s of symbolic work")
    return min(most, budget.seconds)


def spend_seconds(seconds: float) -> None:
    """Count the processor time that a symbolic question took."""
    budget = _budget.get()
    if budget is not None:
        budget.seconds -= seconds
