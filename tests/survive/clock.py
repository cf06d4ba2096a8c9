"""A trainer whose wall clock jumps by a day, back and forth, at every look."""

import itertools
import time

from tests.survive.faults import FORKS, work


def _jumping(*args):
    original, days = time.time, itertools.cycle((0, 86400, -86400))
    time.time = lambda: original() + next(days)
    work(*args)


def jumping(verb, world, out, mark, changes):
    """The exit status of such a trainer."""
    process = FORKS.Process(target=_jumping, args=(verb, world, out, changes, None, 1, mark))
    process.start()
    process.join(300)
    return process.exitcode
