"""Weights and optimizer spread over the processes by FSDP2, and put together again.

The first process alone reads a model from the disk: the others' weights are empty until `shard` gives them their parts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from visreason.engine import sync
from visreason.errors import UsageError
from visreason.model.policy import Policy
from visreason.train.settings import Training
from visreason.train.sharding.ranks import (
    gather,
    leads,
    local_rank,
    of_machine,
    processes,
    rank,
    together,
    wait,
)


def shard(policy: Policy, settings: Training) -> None:
    """Spread a policy's weights over the processes, layer by layer (FSDP2): within a node, and whole on every node,
    where `shard_over` says nothing else; with `offload` into the CPU's memory. The weights are the first process's.
    Gradients are sums over all processes, in float32."""
    if not together():
        return
    mesh = _mesh(policy.device, over(settings))
    base = policy.base
    given = {name: p.detach() for name, p in policy.named_parameters()} if leads() else {}
    layers = [m for m in base.modules() if type(m).__name__ in (base._no_split_modules or ())]
    units = [*layers, base, *([policy.value_head] if policy.value_head else [])]
    if not base.config.get_text_config().tie_word_embeddings:
        units.insert(len(layers), base.get_input_embeddings())
    half = torch.bfloat16 if policy.autocast else None
    pinned = policy.device.type == "cuda"
    place = CPUOffloadPolicy(pinned) if settings.offload else OffloadPolicy()
    for unit in units:
        kept = unit is policy.value_head
        precision = MixedPrecisionPolicy(None if kept else half, torch.float32, cast_forward_inputs=False)
        sharded = fully_shard(
            unit, mesh=mesh, mp_policy=precision, offload_policy=place, reshard_after_forward=unit is not base
        )
        sharded.set_force_sum_reduction_for_comms(True)  # losses are sums; gloo knows no other division
        sharded.set_gradient_divide_factor(1.0)
    _give(policy, given)
    base.within = lambda function, *args: function(base, *args)
    register_fsdp_forward_method(base, "within")

    def within(function: Callable[..., Any], *args: Any) -> Any:
        result = base.within(function, *args)
        if not torch.is_grad_enabled():  # else a backward does it
            base.reshard()
        return result

    policy.within = within
    policy.whole = _at_first_of_node


@torch.no_grad()
def _give(policy: Policy, weights: dict[str, torch.Tensor]) -> None:
    """Every process its parts of the first one's weights, one tensor after the other."""
    for name, p in policy.named_parameters():
        assert isinstance(p, DTensor)
        device = p.device_mesh.device_type
        full = weights.pop(name).to(device) if leads() else torch.empty(p.shape, dtype=p.dtype, device=device)
        p.to_local().copy_(distribute_tensor(full, p.device_mesh, p.placements).to_local())


def waits() -> bool:
    """Whether this process gets its weights from the first one, and reads none."""
    return together() and not leads()


def over(settings: Training) -> int:
    """How many processes share one copy of the model. Raises UsageError where copies would differ in that."""
    world = processes()
    each = settings.shard_over or min(world, of_machine())
    if world % each:
        raise UsageError(f"expected shard_over to divide the {world} processes, found {each}")
    return each


def _mesh(device: torch.device, over: int) -> DeviceMesh:
    world = processes()
    if over == world:
        return init_device_mesh(device.type, (world,), mesh_dim_names=("shard",))
    return init_device_mesh(device.type, (world // over, over), mesh_dim_names=("copies", "shard"))


@contextmanager
def gathered(policy: Policy) -> Iterator[None]:
    """Whole weights on every process, for rollouts: each then answers at its own pace."""
    units = [m for m in policy.base.modules() if isinstance(m, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        for unit in units:
            unit.set_reshard_after_forward(unit is not policy.base, recurse=False)
            unit.reshard()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with the parts of all processes; one that is no DTensor as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _at_first_of_node(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor put together in the CPU's memory of the first process of every node; an empty one on the others."""
    full = whole(tensor)
    return full.cpu() if local_rank() == 0 else full.new_empty(0)


@contextmanager
def written(policy: Policy) -> Iterator[Path]:
    """A folder with the policy's merged weights, which the first process of every node writes for the others."""
    if local_rank() == 0:
        policy.base.should_save_on_this_rank = lambda main: (
            main
        )  # transformers writes on the first node alone
        with sync.written(policy) as folder:
            gather(folder)
            yield folder
            wait()
    else:
        policy.merged_weights()
        yield gather(Path())[rank() - local_rank()]
        wait()


@contextmanager
def kept(policy: Policy, shelf: Path) -> Iterator[Path]:
    """A new folder on the shelf with the policy's merged weights, which the first process writes; the others give their
    parts and get none."""
    from visreason.engine import transfer  # brings the client of servers

    if leads():
        with transfer.kept(policy, shelf) as folder:
            yield folder
    else:
        policy.merged_weights()
        yield Path()


def whole_weights(policy: Policy) -> dict[str, torch.Tensor] | None:
    """Every weight that is saved by its name, of adapters those alone, put together one by one, on the first process's
    CPU; None on the others."""
    found: dict[int, torch.Tensor] = {}
    named = [*policy.model.named_parameters(remove_duplicate=False), *policy.named_parameters()]
    if policy.model is not policy.base:
        named = [(name, p) for name, p in named if p.requires_grad]
    for _, p in named:
        if id(p) not in found:
            full = whole(p.detach())
            found[id(p)] = full.cpu() if leads() else torch.empty(0)
    return {name: found[id(p)] for name, p in named} if leads() else None


def spread(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's state of one process, every tensor laid out as its parameter is."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    laid = {
        i: {key: _as(parameters[i], value) for key, value in values.items()}
        for i, values in state["state"].items()
    }
    return {**state, "state": laid}


def _as(parameter: torch.Tensor, value: Any) -> Any:
    if isinstance(value, torch.Tensor) and parameter.device.type == "cpu":
        value = value.clone()  # it lies in a file that will be deleted
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    mesh = parameter.device_mesh
    spread = distribute_tensor(value.to(mesh.device_type), mesh, parameter.placements, src_data_rank=None)
    return spread.to(parameter.device)  # the CPU's, where the optimizer is offloaded
