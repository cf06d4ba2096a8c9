"""Checkpoints: a Hugging Face directory with the training state beside it, complete or not there at all."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from visreason.errors import RunError
from visreason.model.load import Policy
from visreason.store import checkpoints

STATE = "trainer.pt"


def save(
    run: Path, step: int, policy: Policy, optimizer: torch.optim.Optimizer, state: dict[str, Any], keep: int
) -> Path:
    """Write checkpoint/step_NNNNNN under a temporary name, rename it, and delete all but the last `keep`."""
    folder = run / "checkpoint" / f"step_{step:06d}"
    scratch = folder.with_suffix(".tmp")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        policy.save(scratch)
        torch.save({"optimizer": optimizer.state_dict(), **state}, scratch / STATE)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
    except (
        OSError,
        RuntimeError,
        SafetensorError,
    ) as e:  # torch and safetensors have their own words for a full disk
        shutil.rmtree(scratch, ignore_errors=True)
        raise RunError(
            f"can't write the checkpoint {folder}: {getattr(e, 'strerror', None) or e}. The one before is kept; make "
            "room and give the same command again to go on from it."
        ) from e
    prune(run, keep)
    return folder


def prune(run: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints."""
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def load_state(folder: Path) -> dict[str, Any]:
    """The state of a checkpoint: optimizer, step, data cursor, lengths of the run's files. Nothing is unpickled."""
    try:
        return torch.load(folder / STATE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as e:
        why = (str(e).splitlines() or [type(e).__name__])[0]
        raise RunError(
            f"the checkpoint {folder} has no readable {STATE} ({why}); delete it to go on from the one before"
        ) from e
