"""Work in blocks over the cores of this machine, in order."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def over_cores(
    work: Callable[[T], R], blocks: Sequence[T], alone: bool = False, start: Callable[[], None] | None = None
) -> Iterator[R]:
    """What `work` makes of every block, as it comes and in order; in this process when `alone`.

    Processes are started afresh, since a fork of a process with threads may hang: `work` must be importable. Each calls
    `start` first.

    >>> list(over_cores(len, ["ab", "c"], alone=True))
    [2, 1]
    """
    if alone:
        yield from map(work, blocks)
        return
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=start) as pool:
        yield from pool.map(work, blocks)
