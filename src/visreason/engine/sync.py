"""A policy in training and the vLLM that answers for it: new weights after each update, proved by log-probs.

Axes: S completion tokens of all probes.
"""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from visreason.engine import Conversation, Sampling
from visreason.errors import RunError
from visreason.model.forest import Branch, Tree
from visreason.model.policy import Policy
from visreason.record import Completion

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.5, torch.float16: 0.1}
"""Largest |difference| of a token's log-prob (nats) between sampler and trainer. In 16 bits kernels alone differ."""
PROBE_TOKENS = 32
MEMORY = Path("/dev/shm")
"""A folder in memory, where there is one with room."""
PREFIX, HELD = "visreason-weights-", "held"
"""Folders in it, each with a file that is locked as long as its process lives."""


class Reloading(Protocol):
    """An engine that takes new weights from a folder."""

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]: ...

    def reload(self, folder: Path) -> None: ...


@contextmanager
def written(policy: Policy) -> Iterator[Path]:
    """A folder with the policy's merged weights, in memory where there is room."""
    _clear()
    weights = policy.merged_weights()
    needed = 2 * sum(t.numel() * t.element_size() for t in weights.values())
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > needed
    place = tempfile.TemporaryDirectory(prefix=PREFIX, dir=MEMORY if roomy else None)
    with place as folder, open(Path(folder) / HELD, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        policy.base.save_pretrained(folder, state_dict=weights)
        yield Path(folder)


def _clear() -> None:
    """Give back the memory that processes killed in the middle of a sync left taken."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        try:
            with open(folder / HELD) as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process lives, or has just made it
            continue
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Synced:
    """Keeps `engine`'s weights those of `policy`, which are `written` for it. Every `check_every`-th sync is proved on
    the `probes`: `score` gives the policy's log-probs of every branch of the trees."""

    policy: Policy
    engine: Reloading
    probes: list[Conversation]
    score: Callable[[list[Tree]], list[torch.Tensor]]
    written: Callable[[Policy], AbstractContextManager[Path]] = written
    check_every: int = 1
    probe_tokens: int = PROBE_TOKENS
    syncs: int = field(default=0, init=False)

    def sync(self) -> dict[str, float]:
        """Give the engine the policy's weights. Numbers to log: seconds_sync, and where it was proved sync_difference,
        the largest difference of a log-prob.

        Raises RunError above the tolerance: the engine would answer with other weights than are trained.
        """
        start = time.perf_counter()
        self.transfer()
        numbers = {} if self.syncs % self.check_every else {"sync_difference": self._prove()}
        self.syncs += 1
        return {**numbers, "seconds_sync": time.perf_counter() - start}

    def transfer(self) -> None:
        """Give the engine the policy's weights, unproved."""
        with self.written(self.policy) as folder:
            self.engine.reload(folder)

    def _prove(self) -> float:
        answers = self.engine.generate(self.probes, Sampling(2, max_tokens=self.probe_tokens))
        unread = next((c.text for group in answers for c in group if c.finish == "error"), None)
        if unread is not None:
            raise RunError(
                f"expected an answer to every probe of sync {self.syncs + 1}, found none to one: {unread}"
            )
        sampled_S = torch.tensor([x for group in answers for c in group for x in c.logps])
        asked = zip(self.probes, answers, strict=True)
        trees = [Tree(self.policy.encoder.prompt(c), tuple(_branch(x) for x in group)) for c, group in asked]
        scored_S = torch.cat(self.score(trees))
        difference_S = (scored_S - sampled_S).abs()
        worst, limit = int(difference_S.argmax()), TOLERANCE[self.policy.dtype]
        found = difference_S[worst].item()
        if not found <= limit:
            raise RunError(
                f"after sync {self.syncs + 1} expected sampler and trainer to give the same log-probs within {limit:g} "
                f"nats, found {sampled_S[worst].item():.6f} of the sampler and {scored_S[worst].item():.6f} of the "
                "trainer for one token. The engine answers with other weights than are trained; take engine=hf"
            )
        return found


def _branch(completion: Completion) -> Branch:
    return Branch(torch.tensor(completion.token_ids), torch.ones(len(completion.token_ids)))
