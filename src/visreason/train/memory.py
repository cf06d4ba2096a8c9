"""What a run needs of a GPU's memory, estimated before anything is loaded.

Axes: D hidden, K width of the keys, I width of the feed-forward part, L layers.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from visreason.engine.hf import ROLLOUT_TOKENS
from visreason.errors import UsageError
from visreason.model import patches
from visreason.model.load import NO_CODE, unreadable
from visreason.model.logps import CHUNK_NUMBERS
from visreason.model.parts import PARTS, Part, linear, part_of
from visreason.names import engine_kind
from visreason.store import model_path
from visreason.train import sharding
from visreason.train.precision import halves, on_gpu
from visreason.train.settings import Reinforcement, Training

GB = 1e9
FULL, HALF = 4, 2
"""Bytes of a number."""
MOMENTS = {"adamw": 2 * FULL, "muon": 2 * FULL, "adamw8bit": 2 * (1 + FULL / 256)}
"""Bytes of a weight's moments; those of 8 bits have a scale for every 256. Of muon it is a bound: it keeps one moment
of a matrix between layers."""
FOUR_BITS = 0.5 + 1 / 64
"""Bytes of a weight in 4 bits, with one byte of scale for every 64."""

NOTED = 0.1
"""The share of the CPU's memory from which on its pictures are worth a row of the plan."""


@dataclass(frozen=True)
class Need:
    """Bytes on one GPU, and those `offloaded` from it. Activations and rollout take turns, all else stays; `sampler` is
    vLLM where it samples while the policy learns."""

    weights: float
    gradients: float
    optimizer: float
    working: float
    reference: float
    activations: float
    rollout: float
    rewards: float = 0.0
    sampler: float = 0.0
    offloaded: float = 0.0

    @property
    def counted(self) -> float:
        """Bytes that are known before anything runs, whatever the data."""
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> float:
        """Bytes at the most: what is kept, with the larger of activations and rollout."""
        kept = self.counted + self.working + self.reference
        return kept + self.rewards + self.sampler + max(self.activations, self.rollout)

    def rows(self) -> dict[str, object]:
        """Rows of a plan, in GB."""
        named = {name: f"{value / GB:.2f} GB" for name, value in vars(self).items() if value}
        offloaded = named.pop("offloaded", None)
        more = {"in the CPU's memory instead": offloaded} if offloaded else {}
        return {**named, "in all, at most": f"{self.total / GB:.2f} GB", **more}


def need(
    config: Any,
    settings: Training,
    processes: int = 1,
    over: int | None = None,
    there: float = 0.0,
    rewards: float = 0.0,
) -> Need:
    """The estimate for a model's configuration, on one of so many GPUs of which `over` share a copy; `there` are the
    bytes of a GPU, of which vLLM takes its share for a rollout, and `rewards` those of models that reward.

    Activations are those of the longest micro-batch, at least half of it pictures, kept in every layer that learns, or
    with checkpoint_activations in one. What is kept of a token is counted from transformers' layers: 8 D + 2 K + 4 I
    numbers and four D in float32 for the norms.
    """
    model, over = _empty(config), over or processes
    everything = sum(p.numel() for p in model.parameters())
    trained = sum(_trained(model, settings).values())
    spread = over > 1 or settings.offload
    frozen = PARTS if settings.lora_rank else settings.freeze
    beside = isinstance(settings, Reinforcement) and settings.kl > 0 and not settings.lora_rank
    kept = {
        "weights": _held(model, settings, frozen, settings.quantize == "4bit") / over,
        "gradients": FULL * trained / over,
        "optimizer": MOMENTS[settings.optimizer] * trained / over,
        "reference": _held(model, settings, PARTS) / over if beside else 0.0,
    }
    if settings.offload:
        kept = {**dict.fromkeys(kept, 0.0), "offloaded": sum(kept.values())}
    rollout = _rollout(config, settings, processes, everything * spread, there)
    ahead = isinstance(settings, Reinforcement) and settings.overlap
    return Need(
        working=_working(config, settings, everything, trained, spread),
        activations=_activations(config, settings),
        rollout=0.0 if ahead else rollout,
        sampler=rollout if ahead else 0.0,
        rewards=rewards,
        **kept,
    )


def parameter_sizes(config: Any) -> dict[str, int]:
    """Parameters of vision tower, merger and language model, without loading one."""
    return _sizes(_empty(config))


def of_rewards(settings: Training, config_of: Callable[[str], Any]) -> float:
    """Bytes of the models that reward in this process, by their configurations: reward models, and judges of `hf:`."""
    specs = settings.rewards if isinstance(settings, Reinforcement) else ()
    kinds = [(kind, spec) for kind, _, spec in (name.partition(":") for name in specs)]
    paths = [spec for kind, spec in kinds if kind == "learned" and not spec.startswith("http")]
    paths += [
        spec.removeprefix("hf:") for kind, spec in kinds if kind == "judge" and engine_kind(spec) == "hf"
    ]
    return _width(settings) * sum(sum(parameter_sizes(config_of(path)).values()) for path in paths)


def _empty(config: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)


def _sizes(model: Any) -> dict[str, int]:
    sizes = {"vision": 0, "merger": 0, "language": 0}
    for name, p in model.named_parameters():
        sizes[part_of(name)] += p.numel()
    return sizes


def _linear(model: Any) -> Iterator[tuple[str, torch.nn.Linear]]:
    """The linear layers but the head: what takes 4 bits, and adapters."""
    head = model.get_output_embeddings()
    return ((n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head)


def _trained(model: Any, settings: Training) -> dict[str, int]:
    """Numbers that are trained, by their part."""
    if not settings.lora_rank:
        return {part: n for part, n in _sizes(model).items() if part not in settings.freeze}
    sizes = dict.fromkeys(settings.lora_parts, 0)
    for name, m in _linear(model):
        if (part := part_of(name + ".")) in sizes:
            sizes[part] += settings.lora_rank * (m.in_features + m.out_features)
    return sizes


def _held(model: Any, settings: Training, frozen: tuple[Part, ...], quantised: bool = False) -> float:
    """Bytes of a model's weights: of linear layers that are `quantised`, frozen ones under autocast, and all others."""
    everything = sum(p.numel() for p in model.parameters())
    small = sum(m.weight.numel() for _, m in _linear(model)) if quantised else 0
    half = sum(p.numel() for _, m in linear(model, frozen) for p in m.parameters()) - small
    return FULL * everything - (FULL - HALF) * half * halves(settings) - (FULL - FOUR_BITS) * small


def _width(settings: Training) -> int:
    return HALF if halves(settings) else FULL


def _working(config: Any, settings: Training, numbers: int, trained: int, spread: bool) -> float:
    """Under autocast a bfloat16 copy of every matrix that is trained. Of spread weights two layers that are gathered at
    a time; and the words, with their gradient in float32, for all of a forward and backward."""
    if not spread:
        return HALF * trained if halves(settings) else 0.0
    text, width = config.get_text_config(), _width(settings)
    words = text.vocab_size * text.hidden_size
    return width * 2 * numbers / text.num_hidden_layers + (width + FULL) * words


def _activations(config: Any, settings: Training) -> float:
    text, vision = config.get_text_config(), config.vision_config
    tokens = settings.max_prompt_tokens  # never cut to fit, nor is a completion
    tokens += settings.max_completion_tokens if isinstance(settings, Reinforcement) else 0
    tokens = max(settings.micro_batch_tokens, tokens)
    keys = text.hidden_size * text.num_key_value_heads // text.num_attention_heads
    patches = vision.spatial_merge_size**2 * min(tokens // 2, settings.max_prompt_tokens)
    hidden = getattr(vision, "embed_dim", vision.hidden_size)
    inner = getattr(vision, "intermediate_size", 4 * hidden)
    language = _layers(
        tokens, text.hidden_size, keys, text.intermediate_size, text.num_hidden_layers, settings
    )
    learns = "vision" in settings.lora_parts if settings.lora_rank else "vision" not in settings.freeze
    seeing = _layers(patches, hidden, hidden, inner, vision.depth if learns else 1, settings)
    return language + seeing + 3 * FULL * CHUNK_NUMBERS


def _layers(tokens: int, d: int, k: int, i: int, layers: int, settings: Training) -> float:
    width = _width(settings)
    one = tokens * ((8 * d + 2 * k + 4 * i) * width + 4 * d * FULL)
    return tokens * d * width * layers + one if settings.checkpoint_activations else one * layers


def _rollout(config: Any, settings: Training, processes: int, gathered: int, there: float) -> float:
    if not isinstance(settings, Reinforcement):
        return 0.0
    if settings.engine != "hf":
        return settings.memory_share * there if settings.engine == "vllm" else 0.0
    text, width = config.get_text_config(), _width(settings)
    keys = text.hidden_size * text.num_key_value_heads // text.num_attention_heads
    asked = settings.problems_per_step * settings.completions_per_problem / processes
    trunks = settings.problems_per_step / processes * settings.max_prompt_tokens
    tokens = min(asked * settings.max_completion_tokens, ROLLOUT_TOKENS) + trunks
    return tokens * 2 * keys * text.num_hidden_layers * width + gathered * width


def of_pictures(config: Any, settings: Training) -> float:
    """Bytes of the CPU's memory for a process's pictures, at most: the latest ones, which are remembered, and those of
    the micro-batch at work and of the next, were they nothing but pictures."""
    vision = config.vision_config
    tokens = max(settings.micro_batch_tokens, settings.max_prompt_tokens)
    return patches.MAX_BYTES + 2 * FULL * tokens * vision.spatial_merge_size**2 * patches.numbers(vision)


def available(device: str) -> float:
    """Bytes of this process's GPU, or its share of the machine's."""
    if on_gpu(device):
        return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / sharding.of_machine()


def plan(path: str, settings: Training) -> dict[str, object]:
    """Rows of the plan of a run: what it needs of each GPU, what there is, and what to change where it does not fit.

    Raises UsageError where what is counted, not estimated, is more than a GPU has.
    """
    there, beside = available(settings.device), available("cpu")
    rewards = of_rewards(settings, lambda spec: _config(model_path(spec)))
    over = sharding.over(settings)
    config = _config(path)
    found = need(config, settings, sharding.processes(), over, there, rewards)
    rows = {"GPUs": sharding.processes(), **found.rows(), "there are": f"{there / GB:.2f} GB"}
    if settings.offload:
        rows["of the CPU's there are"] = f"{beside / GB:.2f} GB"
    if (pictures := of_pictures(config, settings)) > NOTED * beside:
        rows["pictures, at most"] = f"{pictures / GB:.2f} of the CPU's {beside / GB:.2f} GB"
    if on_gpu(settings.device) and found.counted > there:
        raise UsageError(
            f"expected weights, gradients and optimizer within the GPU's {there / GB:.1f} GB, found "
            f"{found.weights / GB:.1f} + {found.gradients / GB:.1f} + {found.optimizer / GB:.1f} GB; give some of "
            f"{ways(found, settings)}"
        )
    fits = found.total <= there and found.offloaded <= beside
    return rows if fits else {**rows, "to make it fit": ways(found, settings)}


def _config(path: str) -> Any:
    try:
        return AutoConfig.from_pretrained(path, **NO_CODE)
    except (OSError, ValueError) as e:
        raise unreadable(path, e) from e


def ways(found: Need, settings: Training) -> str:
    """Fields that lower the need, the one that costs least first."""
    made = []
    if found.activations > found.rollout:
        made += ["checkpoint_activations=true"] * (not settings.checkpoint_activations)
        made += [f"micro_batch_tokens under {settings.micro_batch_tokens}"]
    vllm = isinstance(settings, Reinforcement) and settings.engine == "vllm"
    if vllm and (found.sampler or found.rollout >= found.activations):
        made += ["a smaller memory_share"]
    elif found.rollout >= found.activations:
        made += ["fewer completions or tokens a step"]
    made += ["kl=0"] * bool(found.reference) + ["precision=bfloat16"] * (not halves(settings))
    made += ["rewards by a server (learned:http://..., judge:http://...)"] * bool(found.rewards)
    if settings.optimizer == "adamw" and settings.quantize == "none":  # what is refused with others
        made += ["more GPUs (torchrun)"] + ["offload=true"] * (not settings.offload)
    made += ["quantize=4bit"] * (settings.quantize == "none") if settings.lora_rank else ["lora_rank=64"]
    return ", ".join(made)
