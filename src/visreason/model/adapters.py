"""Low-rank adapters (peft) on a policy. They are saved and folded in by `Policy` itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from visreason.model.parts import Part, part_of
from visreason.model.policy import Policy


def add_lora(
    policy: Policy, rank: int, alpha: int, parts: tuple[Part, ...] = ("language",), seed: int = 0
) -> None:
    """Train low-rank adapters (peft) on the linear layers of the named parts; all other weights stay as they are."""
    from peft import LoraConfig, get_peft_model

    names = [
        name
        for name, module in policy.model.named_modules()
        if isinstance(module, torch.nn.Linear) and part_of(name + ".") in parts and "lm_head" not in name
    ]
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the same run begins with the same adapters
        policy.model = get_peft_model(policy.model, config)


def load_lora(policy: Policy, folder: str) -> None:
    """Go on training the adapters saved in a folder."""
    from peft import PeftModel

    policy.model = PeftModel.from_pretrained(policy.model, folder, is_trainable=True)


def without_adapters(policy: Policy) -> Policy:
    """The model under the adapters, which is what their training began with; it has the same weights in memory."""

    def within(function: Callable[..., Any], *args: Any) -> Any:
        with policy.model.disable_adapter():
            return policy._run(function, *args)

    base = replace(policy, within=within)
    base.device = policy.device
    return base
