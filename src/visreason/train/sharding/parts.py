"""Weights and optimizer on the disk in parts, each process its own (torch.distributed.checkpoint, as safetensors, which
nothing unpickles). Any number of processes reads them again. `train.checkpoint` says where, and when they are whole."""

import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import torch
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter, async_save
from torch.distributed.checkpoint import load as load_parts

from visreason.model.policy import Policy
from visreason.train.sharding.ranks import savers, together


def write(folder: Path, policy: Policy, optimizer: torch.optim.Optimizer) -> Future:
    """Write what is trained, as it is now, while training goes on."""
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    return async_save(_tensors(policy, optimizer), storage_writer=writer, process_group=savers())  # type: ignore[return-value]


def read(folder: Path, policy: Policy, optimizer: torch.optim.Optimizer) -> None:
    """Read what was trained into a policy and an optimizer that never stepped."""
    reader = HuggingFaceStorageReader(str(folder))
    _read(_tensors(policy, optimizer, list(reader.read_metadata().state_dict_metadata)), reader)
    for p_state in optimizer.state.values():
        for key, value in p_state.items():
            p_state[key] = value.reshape(()) if key == "step" else value


def read_weights(folder: Path, policy: Policy) -> None:
    """Read the trained weights alone."""
    weights = {f"weight/{name}": p.detach() for name, p in _trained(policy)}
    _read(weights, HuggingFaceStorageReader(str(folder)))


def _read(tensors: dict[str, torch.Tensor], reader: HuggingFaceStorageReader) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # so it is, in one process
        load_parts(tensors, storage_reader=reader, no_dist=not together())


def _tensors(
    policy: Policy, optimizer: torch.optim.Optimizer, names: list[str] | None = None
) -> dict[str, torch.Tensor]:
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
