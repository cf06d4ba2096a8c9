"""The processes that torchrun started: which one this is, how they meet, what they tell one another."""

import atexit
import os
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from visreason.errors import UsageError
from visreason.train.settings import Reinforcement, Training

T = TypeVar("T")
HEARTBEAT_S = 10.0
"""How often the others hear of what the first process does alone."""
_threads: dict[str, dist.ProcessGroup | None] = {"saving": None, "rolling": None}
"""Groups of the threads that run beside training: what two threads say in one group would be mixed up."""


def leads() -> bool:
    """Whether this process writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def meeting(settings: Training) -> Iterator[None]:
    """Within it this process trains with the others that torchrun started, if any; FSDP2 offloads one process as well.
    Raises UsageError for settings made for a model in one piece.

    A process that fails among others leaves without a farewell, in which it would wait for those that wait for it:
    torchrun ends them.
    """
    _meet(settings)
    try:
        yield
    finally:
        if processes() == 1:
            _part()
    if together():
        atexit.register(_part)  # by then the threads that sample ahead have ended


def _meet(settings: Training) -> None:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if together() or (world == 1 and not settings.offload):
        return
    _refuse_whole(settings)
    cuda = settings.device != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local_rank())
    alone = {"store": dist.HashStore(), "rank": 0, "world_size": 1} if world == 1 else {}
    patience = timedelta(seconds=settings.process_timeout_s)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=patience, **alone)
    for thread in _threads:
        _threads[thread] = dist.new_group(backend="gloo", timeout=patience)


def _part() -> None:
    if together():
        dist.destroy_process_group()
        _threads.update(dict.fromkeys(_threads))


def _refuse_whole(settings: Training) -> None:
    if ":" in settings.device:
        raise UsageError(
            f"expected device=cuda or cpu, of which each process takes its own, found {settings.device}; leave it out"
        )
    if settings.optimizer == "muon":
        raise UsageError("optimizer=muon orthogonalises whole matrices, found them spread; take adamw")
    for name, found in (("optimizer", settings.optimizer), ("quantize", settings.quantize)):
        if found in ("adamw8bit", "4bit"):
            raise UsageError(
                f"{name}={found} is for one GPU: bitsandbytes' blocks are neither spread over processes nor "
                "offloaded; leave it out, or train in one process without offload"
            )
    if isinstance(settings, Reinforcement) and of_machine() % settings.tensor_parallel:
        raise UsageError(
            f"expected tensor_parallel to divide the {of_machine()} processes of a machine, found "
            f"{settings.tensor_parallel}"
        )


def savers() -> dist.ProcessGroup | None:
    """The group in which processes agree on a checkpoint."""
    return _threads["saving"]


def rollers() -> dist.ProcessGroup | None:
    """The group in which processes make rollouts; with `overlap` another thread learns meanwhile."""
    return _threads["rolling"]


def together() -> bool:
    """Whether the model is spread: over several processes, or between one and the CPU's memory."""
    return dist.is_initialized()


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if together() else 1


def rank() -> int:
    return dist.get_rank() if together() else 0


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def of_machine() -> int:
    """How many of the processes run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def gather(value: T, group: dist.ProcessGroup | None = None) -> list[T]:
    """Every process's value, in order, on every process."""
    if not together():
        return [value]
    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value, group)
    return values


def any_of(flag: bool) -> bool:
    """Whether it is true of any process."""
    return any(gather(flag))


def wait() -> None:
    """Until every process has come here."""
    gather(None)


def once(function: Callable[[], object]) -> None:
    """Call a function in the first process alone, for all."""
    if leads():
        function()


def after_first(function: Callable[[], T]) -> T:
    """What a process's own call gives, which finds on the disk what the first one's left there."""
    found: list[T] = []
    by_first(lambda: found.append(function()))
    return found[0] if found else function()


def by_first(function: Callable[[], T]) -> T:
    """What the first process's call gives, on every process: one look at a disk, whose changes others see later.

    It may take longer than the processes wait for one another: the first one says now and then that it is at work.
    """
    if not together():
        return function()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(function) if leads() else None
        while True:
            done, value = gather(_state(under_way))[0]
            if done:
                return value


def _state(under_way: Future[T] | None) -> tuple[bool, T | None]:
    """Whether a call has come to its end, and what it gave, after some seconds at the most. Raises what it raised."""
    if under_way is None:
        return False, None
    futures.wait([under_way], HEARTBEAT_S)
    return (True, under_way.result()) if under_way.done() else (False, None)
