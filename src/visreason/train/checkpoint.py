"""Checkpoints: complete or not there at all, on the disk before they are named, the last sound one never deleted.

One process writes a Hugging Face directory with the training state beside it. Several write their own parts of weights
and optimizer into `shards/` (torch.distributed.checkpoint, as safetensors) while training goes on, and the whole
Hugging Face directory at the last step. Either is resumed by any number of processes. Nothing is unpickled.
"""

import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter, async_save
from torch.distributed.checkpoint import load as load_shards

from visreason.errors import RunError
from visreason.model.load import Policy
from visreason.store import checkpoints
from visreason.train import sharding

STATE, SHARDS = "trainer.pt", "shards"
FAILURES = (OSError, RuntimeError, SafetensorError)
"""torch and safetensors have their own words for a full disk."""


@dataclass
class Keeper:
    """Writes the checkpoints of a run, and keeps the last `keep`."""

    run: Path
    keep: int
    pending: tuple[Future, Path] | None = field(default=None, init=False)

    def save(
        self, step: int, policy: Policy, optimizer: torch.optim.Optimizer, state: dict[str, Any], last: bool
    ) -> None:
        """Write checkpoint/step_NNNNNN under a temporary name and rename it once it is on the disk.

        Raises RunError where that fails; the one before is kept.
        """
        self.settle()
        folder = self.run / "checkpoint" / f"step_{step:06d}"
        scratch = folder.with_suffix(".tmp")
        try:
            if not sharding.together():
                shutil.rmtree(scratch, ignore_errors=True)
                policy.save(scratch)
                torch.save({"optimizer": optimizer.state_dict(), **state}, scratch / STATE)
                self._name(scratch)
            else:
                self._begin(scratch, policy, optimizer, state, last)
        except FAILURES as e:
            raise _failed(scratch, e) from e

    def _begin(
        self, scratch: Path, policy: Policy, optimizer: Any, state: dict[str, Any], last: bool
    ) -> None:
        weights = sharding.whole_weights(policy) if last else None
        with sharding.in_turn():
            if sharding.leads():
                shutil.rmtree(scratch, ignore_errors=True)
                (scratch / SHARDS).mkdir(parents=True)
                if last:
                    policy.save(scratch, weights)
                torch.save(state, scratch / STATE)
        writer = HuggingFaceStorageWriter(str(scratch / SHARDS), save_distributed=True)
        tensors = {name: _kept(t) for name, t in _tensors(policy, optimizer).items()}
        future = async_save(tensors, storage_writer=writer, process_group=sharding.savers())
        self.pending = (future, scratch)  # type: ignore[assignment]
        if last:
            self.settle()

    def poll(self) -> None:
        """Name the checkpoint that was being written, if it is done."""
        if self.pending and self.pending[0].done() and sharding.leads():
            self.settle(together=False)

    def settle(self, together: bool = True) -> None:
        """Wait for the checkpoint being written. Raises RunError where it could not be."""
        if self.pending:
            future, scratch = self.pending
            try:
                future.result()
                if sharding.leads():
                    self._name(scratch)
            except Exception as e:  # what failed in any process comes under an error of its own
                raise _failed(scratch, e) from e
            self.pending = None
        if together:
            sharding.gather(None)

    def _name(self, scratch: Path) -> None:
        _to_disk(scratch)
        folder = scratch.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
        _sync(folder.parent)
        prune(self.run, self.keep)


def prune(run: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints."""
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def last_sound(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that can be read, and a sentence about every newer one, for `set_aside` to rename.

    Raises RunError where there are checkpoints and none can be read.
    """
    said = []
    for folder in reversed(checkpoints(run)):
        why = _damage(folder)
        if why is None:
            return folder, said
        said.append(f"{folder} can't be read ({why}); it is set aside")
    if said:
        raise RunError(f"{'; '.join(said)}. There is no other: start again in another directory (out=...)")
    return None, said


def set_aside(run: Path, sound: Path) -> None:
    """Rename the checkpoints after the last sound one: a resumed run writes them anew."""
    for folder in checkpoints(run):
        if folder > sound:
            os.replace(folder, folder.with_name(f"damaged_{folder.name}"))


def sharded(folder: Path) -> bool:
    """Whether weights and optimizer lie in the parts that several processes wrote."""
    return (folder / SHARDS).is_dir()


def load_state(folder: Path) -> dict[str, Any]:
    """A checkpoint's step, data cursor, lengths of the run's files; and the optimizer, where one process wrote it."""
    return torch.load(folder / STATE, map_location="cpu", weights_only=True)


def load_into(folder: Path, policy: Policy, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Weights and optimizer as they were, for any number of processes. Those of a Hugging Face directory came with
    the policy already."""
    if not sharded(folder):
        optimizer.load_state_dict(sharding.spread(optimizer, state["optimizer"]))
        return
    reader = HuggingFaceStorageReader(str(folder / SHARDS))
    tensors = _tensors(policy, optimizer, list(reader.read_metadata().state_dict_metadata))
    _read(tensors, reader)
    for p_state in optimizer.state.values():
        for key, value in p_state.items():
            p_state[key] = value.reshape(()) if key == "step" else value


def load_weights(folder: Path, policy: Policy) -> None:
    """The trained weights alone of what several processes wrote. Raises RunError where they can't be read."""
    if why := _damage(folder):
        raise RunError(f"{folder} can't be read ({why}); take another checkpoint")
    weights = {f"weight/{name}": p.detach() for name, p in _trained(policy)}
    _read(weights, HuggingFaceStorageReader(str(folder / SHARDS)))


def _read(tensors: dict[str, torch.Tensor], reader: HuggingFaceStorageReader) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # so it is, in one process
        load_shards(tensors, storage_reader=reader, no_dist=not sharding.together())


def _tensors(policy: Policy, optimizer: Any, names: list[str] | None = None) -> dict[str, torch.Tensor]:
    """Trained weights and the optimizer's tensors by name; with `names` an optimizer's that never stepped are made."""
    found: dict[str, torch.Tensor] = {}
    for name, p in _trained(policy):
        found[f"weight/{name}"] = p.detach()
        state = optimizer.state[p]
        for key in (n.rpartition("/")[2] for n in names or () if n.startswith(f"optimizer/{name}/")):
            state[key] = torch.zeros(1) if key == "step" else torch.zeros_like(p)
        found |= {f"optimizer/{name}/{k}": v.reshape(1) if k == "step" else v for k, v in state.items()}
    return found


def _trained(policy: Policy) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, p) for name, p in policy.named_parameters() if p.requires_grad)


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that training will not change while it is written; those of a GPU are copied by the writer."""
    return tensor.clone() if tensor.device.type == "cpu" else tensor


def _damage(folder: Path) -> str | None:
    """Why a checkpoint can't be read, None where it can."""
    try:
        load_state(folder)
        files = [*folder.glob("*.safetensors"), *folder.glob(f"{SHARDS}/*.safetensors")]
        if not files:
            return "it holds no weights"
        for file in files:
            with safe_open(
                file, framework="pt"
            ) as f:  # a file cut short has another length than its header says
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
