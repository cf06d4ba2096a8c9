"""From a Hugging Face directory to a policy, and first weights for a configuration."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig
from transformers.initialization import no_init_weights
from transformers.utils import logging as transformers_logging

from visreason.errors import ModelError
from visreason.model import attention, four_bits, value_head
from visreason.model.encode import Encoder
from visreason.model.parts import Part, hold_half, part_of
from visreason.model.policy import Policy

NO_CODE = {"trust_remote_code": False}
"""Left out, transformers asks on the terminal whether to run the code beside a model."""


def load(
    path: str,
    dtype: str = "float32",
    device: str = "auto",
    autocast: bool = False,
    max_pixels: int | None = None,
    min_pixels: int | None = None,
    max_prompt_tokens: int = 8192,
    quantised: bool = False,
    spread: bool = False,
    empty: bool = False,
    scores: bool = False,
    frozen: tuple[Part, ...] = (),
) -> Policy:
    """Load a Hugging Face directory (or a peft adapter directory, merged onto its base) for answering or training.

    `dtype` is that of the weights, "auto" the one they were saved in; `autocast` computes in bfloat16 whatever it is,
    and the matrices of parts that stay `frozen` are then held so.
    Pixels bound each image's area before it is cut into patches. With `quantised` the linear layers but the head are
    kept in 4 bits. With `spread` the weights wait in the CPU's memory, from where the device takes its parts;
    when `empty` none are read, and the memory for them is not touched. What only `scores` needs no matrix to words.
    Raises ModelError when the directory can't be loaded, or lacks a weight.
    """
    transformers_logging.disable_progress_bar()
    if Path(path).exists():
        path = str(Path(path).resolve())  # adapters keep it as the name of their base
    where = _device(device)
    more = (
        {"quantization_config": four_bits.how(autocast), "device_map": {"": str(where)}} if quantised else {}
    )
    try:
        model = _empty(path, dtype) if empty else _model(path, dtype, scores, **more)
        processor = AutoProcessor.from_pretrained(path, **NO_CODE)
    except (OSError, ValueError, KeyError, SafetensorError) as e:
        raise unreadable(path, e) from e
    limit_pixels(processor, min_pixels, max_pixels)
    if autocast:
        hold_half(model, frozen, empty)
    if not (quantised or spread):
        model.to(where)
    four_bits.keep_exact(model.eval())
    share = shares_trunk(model.config)
    attention.install(model)
    encoder = Encoder(processor, model, max_prompt_tokens)
    attend = attention.default_path(where, torch.bfloat16 if autocast else model.dtype)
    policy = Policy(model, processor, encoder, path, attend, share, autocast)
    policy.device = where
    return policy


def unreadable(path: str, error: Exception) -> ModelError:
    """What to say of a model that can't be loaded."""
    where = "" if Path(path).exists() else "no such directory here; taken as a hub id: "
    why = str(error).splitlines()[0].rstrip(".")
    return ModelError(
        f"can't load a vision-language model from {path!r}: {where}{why}. Expected a Hugging "
        "Face directory with config.json, weights, tokenizer and processor files."
    )


def whole_model(path: str, scratch: Path) -> str:
    """A directory of whole weights: `path` itself, or `scratch` with the adapters at `path` folded into their base."""
    if not adapted(path):
        return path
    fold(path, scratch)
    return str(scratch)


def adapted(path: str | Path) -> bool:
    """Whether a directory holds adapters."""
    return (Path(path) / "adapter_config.json").exists()


def fold(path: str, to: Path) -> None:
    """Write the adapters at `path` folded into their base, in the base's numbers; a reward model's head goes along."""
    scores = value_head.find(path) is not None
    policy = load(path, dtype="auto", device="cpu", scores=scores)
    if scores:
        policy.value_head = value_head.read(path, policy.base.config.get_text_config().hidden_size)
    policy.save(to)


def shares_trunk(config: Any) -> bool:
    """Whether every language layer attends to all earlier tokens, so that branches can share a trunk."""
    text = config.get_text_config()
    types = set(getattr(text, "layer_types", None) or ["full_attention"])
    return types <= {"full_attention"}


def create(config: Any, folder: Path, seed: int = 0, bias_spread: float = 0.0) -> None:
    """Write randomly initialised weights for a configuration, as an ordinary Hugging Face directory.

    `bias_spread` is the standard deviation of the language layers' query and key biases. At 0 a head that looks at
    a place whatever stands there is a saddle point that training leaves slowly; at 1 each head begins with some place.
    """
    transformers_logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
        for name, parameter in model.named_parameters():
            if part_of(name) == "language" and name.endswith(("q_proj.bias", "k_proj.bias")):
                torch.nn.init.normal_(parameter, std=bias_spread)
        model.save_pretrained(folder)


def _model(path: str, dtype: str, scores: bool, **more: Any) -> Any:
    if adapted(path):
        from peft import PeftConfig, PeftModel

        base = PeftConfig.from_pretrained(path).base_model_name_or_path
        merged = PeftModel.from_pretrained(_model(str(base), dtype, scores, **more), path).merge_and_unload()
        merged.name_or_path = path  # what further adapters are saved as lying on
        return merged
    config = AutoConfig.from_pretrained(path, **NO_CODE)
    model, found = AutoModelForImageTextToText.from_pretrained(
        path,
        config=config,
        dtype=dtype,
        attn_implementation="sdpa",
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **NO_CODE,
        **more,
    )
    # transformers would draw these at random, and say so among its warnings
    lacking = set(found["missing_keys"]) - ({"lm_head.weight"} if scores else set())
    lacking |= {name for name, *_ in found["mismatched_keys"]}
    if lacking:
        raise ValueError(
            f"{len(lacking)} of its weights are missing or of another shape, {min(lacking)} first"
        )
    if "lm_head.weight" in found["missing_keys"]:  # no score reads it, and two loads must not differ
        torch.nn.init.zeros_(model.lm_head.weight)
    return model


def _empty(path: str, dtype: str) -> Any:
    """The model at a path, adapters folded in, without its weights."""
    if adapted(path):
        from peft import PeftConfig

        made = _empty(str(PeftConfig.from_pretrained(path).base_model_name_or_path), dtype)
        made.name_or_path = path
        return made
    config = AutoConfig.from_pretrained(path, **NO_CODE)
    with no_init_weights():
        made = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa")
    made.tie_weights()
    try:
        made.generation_config = GenerationConfig.from_pretrained(path)
    except OSError:  # as transformers does where that file is not there
        settings = {"config_file_name": "config.json", "_from_model_config": True}
        made.generation_config = GenerationConfig.from_pretrained(path, **settings)
    return made


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:  # with its number: in another thread "cuda" would be the first one
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as e:  # torch asserts that it was built for the device
        raise ModelError(
            f"expected device cpu, cuda or auto, found {name!r}, which can't be used here ({str(e).splitlines()[0]})"
        ) from e


def limit_pixels(processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
    """Bound each image's area, before it is cut into patches.

    Where the processor's own smallest area is above `max_pixels`, images are no longer enlarged at all: in the
    processor the smallest area wins, and its sides are rounded up. A strip keeps one row of patches in any case.
    """
    images = processor.image_processor
    size = dict(images.size)
    if max_pixels is not None:
        size["longest_edge"] = max_pixels
        if size["shortest_edge"] > max_pixels:
            size["shortest_edge"] = (images.patch_size * images.merge_size) ** 2
    if min_pixels is not None:
        size["shortest_edge"] = min_pixels
        size["longest_edge"] = max(size["longest_edge"], min_pixels)
    images.size = size
