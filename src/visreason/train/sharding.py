"""Several processes as one: the only room that knows ranks. Everywhere else a step reads as on one machine.

Started by torchrun, every process plans the same step from the same data. Trees are dealt by their tokens, so that all
finish together; each process learns its own; FSDP2 sums the gradients over all. Every process runs as many forwards,
of the same parts of the model, as the others: one that has no tree left, or no image where another has, plants a
filler of one token beside, which nothing is learned from. The first process writes.
"""

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
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

from visreason import store
from visreason.engine import Conversation, Engine, Sampling, sync
from visreason.engine.vllm import VLLM
from visreason.errors import UsageError
from visreason.model import forest
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Forest, Tree, plant
from visreason.model.load import Policy
from visreason.record import Completion, Sample, Score
from visreason.reward import Reward
from visreason.train.settings import Reinforcement, Training

T = TypeVar("T")
TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
            "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT"}  # fmt: skip
PATIENCE = timedelta(minutes=30)
"""How long the processes wait for one another: the longest rollout of one, less the shortest of another."""


def leads() -> bool:
    """Whether this process writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def start(settings: Training) -> None:
    """Meet the other processes that torchrun started, if any; FSDP2 offloads one process as well. Raises UsageError for
    settings made for a model in one piece."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if dist.is_initialized() or (world == 1 and not settings.offload):
        return
    _refuse_whole(settings)
    cuda = settings.device != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(_local_rank())
    alone = {"store": dist.HashStore(), "rank": 0, "world_size": 1} if world == 1 else {}
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE, **alone)
    for thread in _threads:
        _threads[thread] = dist.new_group(backend="gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)


def _refuse_whole(settings: Training) -> None:
    if settings.optimizer == "muon":
        raise UsageError("optimizer=muon orthogonalises whole matrices, found them spread; take adamw")
    for name, found in (("optimizer", settings.optimizer), ("quantize", settings.quantize)):
        if found in ("adamw8bit", "4bit"):
            raise UsageError(
                f"{name}={found} is for one GPU: bitsandbytes' blocks are neither spread over processes nor "
                "offloaded; leave it out, or train in one process without offload"
            )
    if isinstance(settings, Reinforcement) and _local_world() % settings.tensor_parallel:
        raise UsageError(
            f"expected tensor_parallel to divide the {_local_world()} processes of a machine, found "
            f"{settings.tensor_parallel}"
        )


_threads: dict[str, dist.ProcessGroup | None] = {"saving": None, "rolling": None}
"""Groups of the threads that run beside training: what two threads say in one group would be mixed up."""


def savers() -> dist.ProcessGroup | None:
    """The group in which processes agree on a checkpoint."""
    return _threads["saving"]


def together() -> bool:
    """Whether the model is spread: over several processes, or between one and the CPU's memory."""
    return dist.is_initialized()


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if together() else 1


def _rank() -> int:
    return dist.get_rank() if together() else 0


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def _local_world() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def gather(value: T, group: dist.ProcessGroup | None = None) -> list[T]:
    """Every process's value, in order, on every process."""
    if not together():
        return [value]
    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value, group)
    return values


@contextmanager
def in_turn() -> Iterator[None]:
    """The first process goes ahead and the others follow, to find what it has written."""
    if not leads():
        gather(None)
    yield
    if leads():
        gather(None)


class Shared(store.Run):
    """A run that several processes train: the first one writes, the others wait until it is written."""

    @classmethod
    def open(cls, path: Path, verb: str, recipe: dict[str, Any]) -> store.Run:
        if not together():
            return store.Run.open(path, verb, recipe)
        with in_turn():
            return super().open(path, verb, recipe) if leads() else Follower(path, verb, recipe)

    def append(self, name: str, rows: Any) -> None:
        super().append(name, rows)
        gather(None)


class Follower(store.Run):
    """A run as the other processes see it: read, never written."""

    def __init__(self, path: Path, verb: str, recipe: dict[str, Any]) -> None:
        self.path, self.verb, self.recipe = path, verb, recipe
        self.finished = (path / store.MANIFEST).exists()

    def append(self, name: str, rows: Any) -> None:
        gather(None)

    def rewind(self, cursor: dict[str, int]) -> None:
        pass

    def set_aside(self, rejected: list[dict[str, Any]]) -> None:
        gather(None)

    def seal(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.finished = True
        return {}


def shard(policy: Policy, settings: Training) -> None:
    """Spread a policy's weights over the processes, layer by layer (FSDP2): within a node, and whole on every node,
    where `shard_over` says nothing else; with `offload` into the CPU's memory. Gradients are sums over all processes,
    in float32."""
    if not together():
        return
    mesh = _mesh(policy.device, over(settings))
    base = policy.base
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
    base.within = lambda function, *args: function(base, *args)
    register_fsdp_forward_method(base, "within")

    def within(function: Callable[..., Any], *args: Any) -> Any:
        result = base.within(function, *args)
        if not torch.is_grad_enabled():  # else a backward does it
            base.reshard()
        return result

    policy.within = within
    policy.whole = _at_first_of_node


def over(settings: Training) -> int:
    """How many processes share one copy of the model. Raises UsageError where copies would differ in that."""
    world = processes()
    each = settings.shard_over or min(world, _local_world())
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
    return full.cpu() if _local_rank() == 0 else full.new_empty(0)


@contextmanager
def written(policy: Policy) -> Iterator[Path]:
    """A folder with the policy's merged weights, which the first process of every node writes for the others."""
    if _local_rank() == 0:
        with sync.written(policy) as folder:
            gather(folder)
            yield folder
            gather(None)
    else:
        policy.merged_weights()
        yield gather(Path())[_rank() - _local_rank()]
        gather(None)


def whole_weights(policy: Policy) -> dict[str, torch.Tensor] | None:
    """Every weight by its name, put together one by one, on the first process's CPU; None on the others."""
    found: dict[int, torch.Tensor] = {}
    named = [*policy.model.named_parameters(remove_duplicate=False), *policy.named_parameters()]
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


def _as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    mesh = parameter.device_mesh
    spread = distribute_tensor(value.to(mesh.device_type), mesh, parameter.placements, src_data_rank=None)
    return spread.to(parameter.device)  # the CPU's, where the optimizer is offloaded


def deal(sizes: Sequence[int], hands: int) -> list[list[int]]:
    """Places of the sizes dealt to hands, largest first to the hand that has least; each hand in order.

    >>> deal([5, 9, 4, 6], 2)
    [[1, 2], [0, 3]]
    """
    dealt: list[list[int]] = [[] for _ in range(hands)]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        min(dealt, key=lambda hand: sum(sizes[j] for j in hand)).append(i)
    return [sorted(hand) for hand in dealt]


@dataclass(frozen=True)
class MicroBatch:
    """This process's trees of one forward, none where it has none left, and the filler that runs beside them."""

    trees: list[Tree]
    filler: Prompt | None = None

    def planted(self, policy: Policy) -> Forest:
        """The forest to run, the filler last."""
        if self.filler is None:
            return plant(self.trees, policy.attention_path)
        names = self.trees[0].branches[0].fields if self.trees else ()
        fields = {name: torch.zeros(1) for name in names}
        branch = Branch(self.filler.ids[:1], torch.zeros(1), fields)
        return plant([*self.trees, Tree(self.filler, (branch,))], policy.attention_path)

    def own(self, values: torch.Tensor) -> torch.Tensor:
        """Values of tokens, or of branches, without the filler's: it has one of either."""
        return values if self.filler is None else values[:-1]


def micro_batches(
    policy: Policy, trees: Sequence[Tree], budget: int, whole: bool = False
) -> tuple[list[MicroBatch], int]:
    """This process's share of the trees in forwards of at most `budget` tokens, as many as every other process has;
    and the tokens that splits cost all of them."""
    dealt = [[trees[i] for i in hand] for hand in _hands(trees)]
    cut = [forest.micro_batches(own, budget, policy.share, whole) for own in dealt]
    made = []
    for row in zip_longest(*(batches for batches, _ in cut), fillvalue=()):
        mine = list(row[_rank()])
        seen = any(map(_sees, row))
        needed = not mine or (seen and not _sees(mine))
        made.append(MicroBatch(mine, _filler(policy, seen) if needed else None))
    return made, sum(lost for _, lost in cut)


def in_order(trees: Sequence[Tree], values: list[Any]) -> list[Any]:
    """One value a branch, computed by each process for its own trees, in the order of all trees and branches."""
    found: dict[int, list[Any]] = {}
    for hand, part in zip(_hands(trees), gather(values), strict=True):
        left = iter(part)
        found |= {i: [next(left) for _ in trees[i].branches] for i in hand}
    return [value for i in range(len(trees)) for value in found[i]]


def _hands(trees: Sequence[Tree]) -> list[list[int]]:
    return deal([t.tokens for t in trees], processes())


def _sees(trees: Sequence[Tree]) -> bool:
    return any(t.prompt.pixels is not None for t in trees)


def _filler(policy: Policy, image: bool) -> Prompt:
    """Two tokens, or the smallest image there is: one token of it between its marks."""
    config = policy.base.config
    vision = config.vision_config
    if not image:
        return Prompt(
            torch.tensor([config.vision_start_token_id] * 2), torch.arange(2).expand(3, -1), None, None
        )
    ids = torch.tensor([config.vision_start_token_id, config.image_token_id, config.vision_end_token_id])
    side = vision.spatial_merge_size
    values = getattr(vision, "in_channels", 3) * vision.temporal_patch_size * vision.patch_size**2
    grid = torch.tensor([[1, side, side]])
    return Prompt(ids, torch.arange(3).expand(3, -1), torch.zeros(side * side, values), grid)


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
    """A vLLM of every process, or of every `each` of them: the first of these holds it, on the GPUs of all of them."""

    held: VLLM | None
    each: int

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """As `Dealt`, in a group of its own: with `overlap` another thread learns meanwhile."""
        first, end = _stretch(len(conversations), self.each)
        own = []
        if self.held and first < end:
            own = self.held.generate(conversations[first:end], replace(sampling, first=first))
        return [answers for part in gather(own, _threads["rolling"]) for answers in part]

    def reload(self, folder: Path) -> None:
        if self.held:
            self.held.reload(folder)

    def rest(self) -> None:
        if self.held:
            self.held.rest()


def engines(each: int) -> int:
    """How many vLLMs there are beside all processes."""
    return processes() // each or 1


def beside(open_engine: Callable[[], VLLM], each: int) -> VLLM | Beside:
    """The vLLM that is opened beside this process; with several training processes one beside every `each` of them."""
    if not together():
        return open_engine()
    holds = _local_rank() % each == 0
    with _alone(each):
        return Beside(open_engine() if holds else None, each)


@contextmanager
def _alone(gpus: int) -> Iterator[None]:
    """The environment as if torchrun had not started this process, and there were but its own GPUs: vLLM's processes
    are started in it, and would else wait for torchrun's store, all of them on the first GPU."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(i) for i in range(torch.cuda.device_count())]
    own = visible[_local_rank() :][:gpus]
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


def dealt_reward(reward: Reward, group: int) -> Reward:
    """A reward that every process gives to its own stretch of the groups of so many samples."""

    def dealt(samples: list[Sample]) -> list[Score]:
        first, end = _stretch(len(samples) // group)
        own = reward(samples[first * group : end * group])
        return [score for part in gather(own, _threads["rolling"]) for score in part]

    return dealt if together() else reward


def dealt_engine(engine: Engine, policy: Policy) -> Engine:
    """The engine as it is, or dealt where several processes train."""
    return Dealt(engine, policy) if together() else engine


def _stretch(n: int, each: int = 1) -> tuple[int, int]:
    """This process's part of n things in a row; with `each` the first one of so many takes the part of all of them."""
    hand, rest = divmod(_rank(), each)
    hands = processes() // each
    return (n * hand // hands, n * (hand + 1) // hands) if rest == 0 else (0, 0)


def any_of(flag: bool) -> bool:
    """Whether it is true of any process."""
    return any(gather(flag))
