"""Work in blocks over the cores of this machine, in order."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def over_cores(
    work: Callable[[T], R], blocks: Sequence[T], alone: bool = False, start: Callable[[], None] | None = None
) -> Iterator[R]:
    """What `work` makes of every block, as it comes and in order; in this process when `alone`.

    Processes are started afresh, since a fork of a process with threads may hang: `work` must be importable. Each calls
    `start` first, and ends with this process, however that ends.

    >>> list(over_cores(len, ["ab", "c"], alone=True))
    [2, 1]
    """
    if alone:
        yield from map(work, blocks)
        return
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=_begin, initargs=(start,)
    ) as pool:
        yield from pool.map(work, blocks)


def _begin(start: Callable[[], None] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if start is not None:
        start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # the pool's own processes would wait for work for ever
