"""Rollouts and rewards dealt to the processes: each makes its own stretch, and all get all of them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import torch

from visreason.engine import Conversation, Engine, Sampling
from visreason.model.policy import Policy
from visreason.record import Completion, Sample, Score
from visreason.reward import Reward
from visreason.train.sharding.ranks import gather, local_rank, processes, rank, rollers, together
from visreason.train.sharding.weights import gathered

TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
            "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT"}  # fmt: skip

E = TypeVar("E")


@dataclass(frozen=True)
class Dealt:
    """An engine of every process: each answers its own stretch of the conversations, and all get all answers."""

    engine: Engine
    policy: Policy

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order, those that one process would give."""
        first, end = _stretch(len(conversations))
        with gathered(self.policy):
            own = self.engine.generate(conversations[first:end], replace(sampling, first=first))
        return [answers for part in gather(own) for answers in part]

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def device(self) -> str:
        return self.engine.device


@dataclass(frozen=True)
class Beside:
    """An engine with weights of its own beside every process, or every `each` of them: the first of these holds it, a
    vLLM on the GPUs of all of them."""

    held: Any
    each: int

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """As `Dealt`, in a group of its own: with `overlap` another thread learns meanwhile."""
        first, end = _stretch(len(conversations), self.each)
        own = []
        if self.held and first < end:
            own = self.held.generate(conversations[first:end], replace(sampling, first=first))
        return [answers for part in gather(own, rollers()) for answers in part]

    def reload(self, folder: Path) -> None:
        if self.held:
            self.held.reload(folder)

    def rest(self) -> None:
        if self.held:
            self.held.rest()


def dealt_engine(engine: Engine, policy: Policy) -> Engine:
    """The engine as it is, or dealt where several processes train."""
    return Dealt(engine, policy) if together() else engine


def beside(open_engine: Callable[[], E], each: int) -> E | Beside:
    """The engine that is opened beside this process; with several training processes one beside every `each` of them,
    which divide those of a machine, or are all."""
    if not together():
        return open_engine()
    holds = rank() % each == 0
    with _alone(each):
        return Beside(open_engine() if holds else None, each)


def engines(each: int) -> int:
    """How many vLLMs there are beside all processes."""
    return processes() // each or 1


@contextmanager
def _alone(gpus: int) -> Iterator[None]:
    """The environment as if torchrun had not started this process, and there were but its own GPUs: vLLM's processes
    are started in it, and would else wait for torchrun's store, all of them on the first GPU."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(i) for i in range(torch.cuda.device_count())]
    own = visible[local_rank() :][:gpus]
    hidden = {
        n: os.environ.pop(n) for n in list(os.environ) if n in TORCHRUN or n.startswith("TORCHELASTIC_")
    }
    os.environ |= {"CUDA_VISIBLE_DEVICES": ",".join(own)} if own else {}
    try:
        yield
    finally:
        os.environ |= hidden
        if own and named is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        elif named is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = named


def dealt_reward(reward: Reward) -> Reward:
    """A reward that every process gives to its own stretch of the problems, with all samples of each."""

    def dealt(samples: list[Sample]) -> list[Score]:
        groups = [list(group) for _, group in groupby(samples, key=lambda x: x.problem.id)]
        first, end = _stretch(len(groups))
        own = reward([x for group in groups[first:end] for x in group])
        return [score for part in gather(own, rollers()) for score in part]

    return dealt if together() else reward


def _stretch(n: int, each: int = 1) -> tuple[int, int]:
    """This process's part of n things in a row; with `each` the first one of so many takes the part of all of them."""
    hand, rest = divmod(rank(), each)
    hands = processes() // each
    return (n * hand // hands, n * (hand + 1) // hands) if rest == 0 else (0, 0)
