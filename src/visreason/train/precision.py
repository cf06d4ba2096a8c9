"""What a run computes in: as its recipe says, or by default what its device has."""

import torch

from visreason.train.settings import Training


def on_gpu(device: str) -> bool:
    return device != "cpu" and torch.cuda.is_available()


def precision(settings: Training) -> str:
    """float32 or bfloat16: what matrices are multiplied in."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if on_gpu(settings.device) and torch.cuda.is_bf16_supported(False) else "float32"


def halves(settings: Training) -> bool:
    """Whether a run computes in bfloat16, under autocast."""
    return precision(settings) == "bfloat16"
