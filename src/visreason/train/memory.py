"""What a run needs of a GPU's memory, estimated before anything is loaded, and tried before the first step.

Axes: D hidden, K width of the keys, I width of the feed-forward part, L layers.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from visreason.engine.hf import ROLLOUT_TOKENS
from visreason.errors import RunError
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree
from visreason.model.load import Policy, part_of, unreadable
from visreason.model.logps import CHUNK_NUMBERS
from visreason.train import sharding
from visreason.train.settings import Reinforcement, Training

GB = 1e9
FULL, HALF = 4, 2
"""Bytes of a number."""
MOMENTS = {"adamw": 2 * FULL, "muon": 2 * FULL, "adamw8bit": 2 * (1 + FULL / 256)}
"""Bytes of a weight's moments; those of 8 bits have a scale for every 256. Of muon it is a bound: it keeps one moment
of a matrix between layers."""
FOUR_BITS = 0.5 + 1 / 64
"""Bytes of a weight in 4 bits, with one byte of scale for every 64."""


@dataclass(frozen=True)
class Need:
    """Bytes on one GPU, and those `offloaded` from it. Weights, gradients and optimizer stay; activations and rollout
    take turns."""

    weights: float
    gradients: float
    optimizer: float
    working: float
    reference: float
    activations: float
    rollout: float
    offloaded: float = 0.0

    @property
    def total(self) -> float:
        """Bytes at the most: what is kept, with the larger of activations and rollout."""
        kept = self.weights + self.gradients + self.optimizer + self.working + self.reference
        return kept + max(self.activations, self.rollout)

    def rows(self) -> dict[str, object]:
        """Rows of a plan, in GB."""
        named = {name: f"{value / GB:.2f} GB" for name, value in vars(self).items() if value}
        offloaded = named.pop("offloaded", None)
        more = {"in the CPU's memory instead": offloaded} if offloaded else {}
        return {**named, "in all, at most": f"{self.total / GB:.2f} GB", **more}


def need(
    config: Any, settings: Training, processes: int = 1, over: int | None = None, there: float = 0.0
) -> Need:
    """The estimate for a model's configuration, on one of so many GPUs of which `over` share a copy; `there` are the
    bytes of a GPU, of which vLLM takes its share for a rollout.

    Activations are those of a whole micro-batch, at least half of it pictures, kept in every layer, or with
    checkpoint_activations in one. What is kept of a token is counted from transformers' layers: 8 D + 2 K + 4 I numbers
    and four D in float32 for the norms.
    """
    sizes = parameter_sizes(config)
    everything = sum(sizes.values())
    share = settings.lora_rank / config.get_text_config().hidden_size * 4 if settings.lora_rank else 1.0
    parts = settings.lora_parts if settings.lora_rank else sizes.keys() - set(settings.freeze)
    trained = share * sum(sizes[part] for part in parts)
    over = over or processes
    half = settings.precision == "bfloat16"
    beside = isinstance(settings, Reinforcement) and settings.kl > 0
    # Under autocast a bfloat16 copy of every matrix; sharded, the layers that are gathered at a time, and the head.
    spread = over > 1 or settings.offload
    small = _linear(config) if settings.quantize == "4bit" else 0
    copied = 2 / config.get_text_config().num_hidden_layers if spread else half
    weights = (FULL * (everything - small) + FOUR_BITS * small) / over
    kept = {
        "weights": weights,
        "gradients": FULL * trained / over,
        "optimizer": MOMENTS[settings.optimizer] * trained / over,
        "reference": weights * beside,
    }
    if settings.offload:
        kept = {**dict.fromkeys(kept, 0.0), "offloaded": sum(kept.values())}
    return Need(
        working=HALF * (everything - small) * copied,
        activations=_activations(config, settings),
        rollout=_rollout(config, settings, processes, everything * spread, there),
        **kept,
    )


def parameter_sizes(config: Any) -> dict[str, int]:
    """Parameters of vision tower, merger and language model, without loading one."""
    sizes = {"vision": 0, "merger": 0, "language": 0}
    for name, p in _empty(config).named_parameters():
        sizes[part_of(name)] += p.numel()
    return sizes


def _linear(config: Any) -> int:
    """Numbers in the weights of the linear layers but the head: what is kept in 4 bits."""
    model = _empty(config)
    head = model.get_output_embeddings()
    linear = (m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head)
    return sum(m.weight.numel() for m in linear)


def _empty(config: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)


def _activations(config: Any, settings: Training) -> float:
    text, vision = config.get_text_config(), config.vision_config
    tokens = settings.micro_batch_tokens
    if isinstance(settings, Reinforcement):  # a completion is never cut to fit
        tokens = max(tokens, settings.max_completion_tokens)
    width = HALF if settings.precision == "bfloat16" else FULL
    keys = text.hidden_size * text.num_key_value_heads // text.num_attention_heads
    patches = vision.spatial_merge_size**2 * min(tokens // 2, settings.max_prompt_tokens)
    hidden = getattr(vision, "embed_dim", vision.hidden_size)
    inner = getattr(vision, "intermediate_size", 4 * hidden)
    language = _layers(
        tokens, text.hidden_size, keys, text.intermediate_size, text.num_hidden_layers, width, settings
    )
    seeing = _layers(patches, hidden, hidden, inner, vision.depth, width, settings)
    return language + seeing + 3 * FULL * CHUNK_NUMBERS


def _layers(tokens: int, d: int, k: int, i: int, layers: int, width: int, settings: Training) -> float:
    one = tokens * ((8 * d + 2 * k + 4 * i) * width + 4 * d * FULL)
    return tokens * d * width * layers + one if settings.checkpoint_activations else one * layers


def _rollout(config: Any, settings: Training, processes: int, gathered: int, there: float) -> float:
    if not isinstance(settings, Reinforcement):
        return 0.0
    if settings.engine != "hf":
        return settings.memory_share * there if settings.engine == "vllm" else 0.0
    text = config.get_text_config()
    width = HALF if settings.precision == "bfloat16" else FULL
    keys = text.hidden_size * text.num_key_value_heads // text.num_attention_heads
    asked = settings.problems_per_step * settings.completions_per_problem / processes
    trunks = settings.problems_per_step / processes * settings.max_prompt_tokens
    tokens = min(asked * settings.max_completion_tokens, ROLLOUT_TOKENS) + trunks
    return tokens * 2 * keys * text.num_hidden_layers * width + gathered * width


def available(device: str) -> float:
    """Bytes of this process's GPU, or of the machine."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / sharding.processes()


def plan(path: str, settings: Training) -> dict[str, object]:
    """Rows of the plan of a run: what it needs of each GPU, what there is, and what to change where it does not fit."""
    try:
        config = AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as e:
        raise unreadable(path, e) from e
    there, beside = available(settings.device), available("cpu")
    found = need(config, settings, sharding.processes(), sharding.over(settings), there)
    rows = {"GPUs": sharding.processes(), **found.rows(), "there are": f"{there / GB:.2f} GB"}
    if settings.offload:
        rows["of the CPU's there are"] = f"{beside / GB:.2f} GB"
    fits = found.total <= there and found.offloaded <= beside
    return rows if fits else {**rows, "to make it fit": ways(found, settings)}


def ways(found: Need, settings: Training) -> str:
    """Fields that lower the need, the one that costs least first."""
    made = []
    if found.activations > found.rollout:
        made += ["checkpoint_activations=true"] * (not settings.checkpoint_activations)
        made += [f"micro_batch_tokens under {settings.micro_batch_tokens}"]
    else:
        vllm = isinstance(settings, Reinforcement) and settings.engine == "vllm"
        made += ["a smaller memory_share" if vllm else "fewer completions or tokens a step"]
    made += ["kl=0"] * bool(found.reference) + ["precision=bfloat16"] * (settings.precision == "float32")
    made += ["more GPUs (torchrun)"] + ["offload=true"] * (not settings.offload)
    made += ["quantize=4bit"] * (settings.quantize == "none") if settings.lora_rank else ["lora_rank=64"]
    return ", ".join(made)


def dry_run(policy: Policy, longest: Prompt, branch: int, settings: Training) -> float:
    """Forward and backward of a micro-batch filled to its limit behind the longest prompt, or beyond it by a branch of
    `branch` tokens, which is never cut; the peak in bytes, on a GPU.

    Nothing is learned. Raises RunError where the memory does not suffice.
    """
    room = max(branch, settings.micro_batch_tokens - len(longest.ids) + 1)
    ids = longest.ids[-1:].repeat(room)
    tree = Tree(longest, (Branch(ids, torch.ones(room)),))
    try:
        output = policy.learned(sharding.MicroBatch([tree]).planted(policy))
        (0 * output.sum()).backward()
    except torch.OutOfMemoryError as e:
        raise RunError(
            f"the longest micro-batch does not fit in the memory of {policy.device} ({str(e).splitlines()[0]}); lower "
            "micro_batch_tokens or max_pixels, or give checkpoint_activations=true"
        ) from e
    finally:
        for _, p in policy.named_parameters():
            p.grad = None
    return float(torch.cuda.max_memory_allocated()) if policy.device.type == "cuda" else 0.0
