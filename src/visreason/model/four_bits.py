"""A base in 4 bits under adapters (QLoRA, Dettmers et al. 2023, arXiv 2305.14314), by bitsandbytes, if installed."""

from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from visreason.errors import UsageError


def how(autocast: bool) -> BitsAndBytesConfig:
    """How transformers is to quantise the linear layers but the head: NF4, its scales quantised again.

    Raises UsageError where bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise UsageError(
            "quantize=4bit needs bitsandbytes, which is not installed; install visreason[quantized]"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if autocast else torch.float32,
    )


def keep_exact(model: Any) -> None:
    """Have layers answer on a CPU with the weights they learn with, which they would else round once more."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def full_width(weight: torch.Tensor) -> torch.Tensor:
    """A weight as numbers of a float type; one that is not in 4 bits as it is."""
    if not hasattr(weight, "quant_state"):
        return weight
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight, weight.quant_state)
