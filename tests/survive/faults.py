"""Training in processes that can be killed for real, and what stops them at a chosen moment."""

import multiprocessing
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.train.test_resume import train
from visreason import store
from visreason.engine import decode
from visreason.errors import VisreasonError
from visreason.store import run
from visreason.train import checkpoint, update

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.train.test_resume"])  # the rooms are imported once for all processes
PLACES = {
    "rollout": (decode.Decoder, "step"),
    "update": (update, "apply"),
    "record": (store.Run, "append"),
    "checkpoint": (checkpoint, "_to_disk"),
    "naming": (checkpoint, "prune"),
    "manifest": (run, "write_json"),
}
FAILED = 1


def work(verb, world, out, changes, place, call, mark):
    """A trainer that waits at the nth call of a place, once, until it is killed; it says so by a file."""
    import torch

    torch.set_num_threads(1)
    sys.stderr = open(Path(mark).with_suffix(".err"), "w", buffering=1)  # noqa: SIM115 - the process's own
    if place:
        owner, name = PLACES[place]
        original, calls = getattr(owner, name), [0]

        def waiting(*args, **kwargs):
            calls[0] += 1
            if calls[0] == call:
                Path(mark).touch()
                time.sleep(600)
            return original(*args, **kwargs)

        setattr(owner, name, waiting)
    try:
        train(verb, world, out, **changes)
    except VisreasonError as e:
        Path(mark).write_text(str(e))
        os._exit(FAILED)


@contextmanager
def trainer(verb, world, out, mark, place=None, call=1, **changes):
    """The trainer's process, killed on leaving where it still runs."""
    process = FORKS.Process(target=work, args=(verb, world, out, changes, place, call, mark))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def kill_at(place, call, verb, world, out, mark, **changes):
    """Kill a trainer with SIGKILL at a moment; whether it got there before it was done."""
    mark.unlink(missing_ok=True)
    with trainer(verb, world, out, mark, place, call, **changes) as process:
        while process.is_alive() and not mark.exists():
            time.sleep(0.005)
        return process.is_alive()


def finish(verb, world, out, mark, **changes):
    """Train to the end; the exit status."""
    with trainer(verb, world, out, mark, **changes) as process:
        process.join(300)
        return process.exitcode
