"""Checkpoints: complete or not there at all, on the disk before they are named, the last sound one never deleted.

One process writes a Hugging Face directory with the training state beside it. Several write their own parts of weights
and optimizer into `shards/` while training goes on, and the whole Hugging Face directory at the last step. Either is
resumed by any number of processes. Nothing is unpickled.
"""

import os
import pickle
import shutil
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from visreason.errors import RunError
from visreason.model.policy import Policy
from visreason.store import checkpoints, read_json, write_json
from visreason.train import sharding
from visreason.train.sharding import parts

STATE, SHARDS, FILES = "trainer.pt", "shards", "files.json"
"""The training state; the folder of parts; and, written last, the files of weights with their sizes in bytes."""
FAILURES = (OSError, RuntimeError, SafetensorError)
"""torch and safetensors have their own words for a full disk."""


def place(run: Path, step: int) -> Path:
    """Where the checkpoint after so many steps lies."""
    return run / "checkpoint" / f"step_{step:06d}"


@dataclass
class Keeper:
    """Writes the checkpoints of a run, and keeps the last `keep` and that of the `best` step."""

    run: Path
    keep: int
    best: int | None = None
    pending: tuple[Future, Path] | None = field(default=None, init=False)

    def save(
        self, step: int, policy: Policy, optimizer: torch.optim.Optimizer, state: dict[str, Any], last: bool
    ) -> None:
        """Write checkpoint/step_NNNNNN under a temporary name and rename it once it is on the disk. The state's `best`
        is what the best step so far came to.

        Raises RunError where that fails; the one before is kept.
        """
        self.settle()
        self.best = best_step(state)
        scratch = place(self.run, step).with_suffix(".tmp")
        try:
            if sharding.together():
                self._begin(scratch, policy, optimizer, state, last)
            else:
                shutil.rmtree(scratch, ignore_errors=True)
                policy.save(scratch)
                torch.save({"optimizer": optimizer.state_dict(), **state}, scratch / STATE)
                self._name(scratch)
        except FAILURES as e:
            raise _failed(scratch, e) from e
        if last:
            self.settle()

    def _begin(
        self, scratch: Path, policy: Policy, optimizer: Any, state: dict[str, Any], last: bool
    ) -> None:
        weights = sharding.whole_weights(policy) if last else None

        def prepare() -> None:
            shutil.rmtree(scratch, ignore_errors=True)
            (scratch / SHARDS).mkdir(parents=True)
            if last:
                policy.save(scratch, weights)
            torch.save(state, scratch / STATE)

        sharding.by_first(prepare)
        self.pending = parts.write(scratch / SHARDS, policy, optimizer), scratch

    def poll(self, wait: bool = False) -> None:
        """Name the checkpoint that was being written, if it is done; or wait for it."""
        if self.pending and (wait or self.pending[0].done()):
            self._end(*self.pending)

    def settle(self) -> None:
        """Wait for the checkpoint being written, and for its name, which may take the first process long: everything is
        flushed to the disk before. Raises RunError where it could not be."""
        if not sharding.leads():
            self.poll(wait=True)
        sharding.by_first(lambda: self.poll(wait=True))

    def _end(self, written: Future, scratch: Path) -> None:
        try:
            written.result()
            sharding.once(lambda: self._name(scratch))
        except Exception as e:  # what failed in any process comes under an error of its own
            raise _failed(scratch, e) from e
        self.pending = None

    def _name(self, scratch: Path) -> None:
        weights = [*scratch.glob("*.safetensors"), *scratch.glob(f"{SHARDS}/*.safetensors")]
        sizes = {str(file.relative_to(scratch)): file.stat().st_size for file in sorted(weights)}
        write_json(scratch / FILES, sizes)
        _to_disk(scratch)
        folder = scratch.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
        _sync(folder.parent)
        prune(self.run, self.keep, self.best)


def best_step(state: dict[str, Any]) -> int | None:
    """The best step that a training state remembers, if any was looked at."""
    return state["best"]["step"] if state.get("best") else None


def prune(run: Path, keep: int, best: int | None = None) -> None:
    """Delete all but the last `keep` checkpoints and that of the `best` step, and what a kill left half written or half
    deleted."""
    for old in checkpoints(run)[:-keep]:
        if best is not None and old == place(run, best):
            continue
        _move(old, old.with_suffix(".tmp"))  # one that is half deleted must not have a name
    for left in (run / "checkpoint").glob("*.tmp"):
        shutil.rmtree(left)


def last_sound(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that can be read, and a sentence about every newer one, which is renamed: a resumed run
    writes it anew. Raises RunError where there are checkpoints and none can be read.
    """
    damaged: dict[Path, str] = {}
    for folder in reversed(checkpoints(run)):
        why = _damage(folder)
        if why is None:
            for other in damaged:
                _move(other, other.with_name(f"damaged_{other.name}"))
            return folder, list(damaged.values())
        damaged[folder] = f"{folder} can't be read ({why}); it is set aside"
    if damaged:
        raise RunError(
            f"{'; '.join(damaged.values())}. There is no other: start again in another directory (out=...)"
        )
    return None, []


def sharded(folder: Path) -> bool:
    """Whether weights and optimizer lie in the parts that several processes wrote."""
    return (folder / SHARDS).is_dir()


def load_state(folder: Path) -> dict[str, Any]:
    """A checkpoint's step, data cursor, lengths of the run's files; and the optimizer, where one process wrote it. Its
    tensors are read from the file when they are used, once for all processes of a machine."""
    return torch.load(folder / STATE, map_location="cpu", weights_only=True, mmap=True)


def load_into(folder: Path, policy: Policy, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Weights and optimizer as they were, for any number of processes. Those of a Hugging Face directory came with
    the policy already."""
    if sharded(folder):
        parts.read(folder / SHARDS, policy, optimizer)
    else:
        optimizer.load_state_dict(sharding.spread(optimizer, state["optimizer"]))


def load_weights(folder: Path, policy: Policy) -> None:
    """The trained weights alone of what several processes wrote. Raises RunError where they can't be read."""
    if why := _damage(folder):
        raise RunError(f"{folder} can't be read ({why}); take another checkpoint")
    parts.read_weights(folder / SHARDS, policy)


def _damage(folder: Path) -> str | None:
    """Why a checkpoint can't be read, None where it can."""
    try:
        load_state(folder)
        sizes = read_json(folder / FILES)
        if not sizes:
            return "it holds no weights"
        for name, size in sizes.items():
            found = (folder / name).stat().st_size
            if found != size:
                return f"expected {size} bytes in {name}, found {found}"
            with safe_open(folder / name, framework="pt") as f:
                f.keys()
    except (*FAILURES, EOFError, pickle.UnpicklingError) as e:
        return (str(e).splitlines() or [type(e).__name__])[0]
    return None


def _failed(scratch: Path, error: Exception) -> RunError:
    shutil.rmtree(scratch, ignore_errors=True)
    why = getattr(error, "strerror", None) or str(error).splitlines()[-1]
    return RunError(
        f"can't write the checkpoint {scratch.with_suffix('')}: {why}. The one before is kept; make room and give the "
        "same command again to go on from it."
    )


def _move(folder: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    os.replace(folder, to)


def _to_disk(folder: Path) -> None:
    """Every file and folder in it flushed, so that no power cut leaves a name without its bytes."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
