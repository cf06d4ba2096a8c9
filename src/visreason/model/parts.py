"""Parts of a Qwen-VL model, told by the names of its parameters: which are trained, which are left out."""

from collections.abc import Iterator
from typing import Any, Literal

import torch

from visreason.errors import ModelError
from visreason.model.policy import Policy

Part = Literal["vision", "merger", "language"]
PARTS: tuple[Part, ...] = ("vision", "merger", "language")


def part_of(parameter: str) -> Part:
    """The part a parameter belongs to, by its name in Qwen-VL models.

    >>> part_of("model.visual.merger.mlp.0.weight"), part_of("model.visual.blocks.0.norm1.weight"), part_of("lm_head")
    ('merger', 'vision', 'language')
    """
    if "visual." not in parameter:
        return "language"
    return "merger" if "merger" in parameter else "vision"


def linear(model: Any, parts: tuple[Part, ...] = PARTS) -> Iterator[tuple[str, torch.nn.Linear]]:
    """The linear layers of some parts by their names, without one that is tied to the embedding."""
    words = model.get_input_embeddings().weight
    for name, module in model.named_modules():
        if (
            isinstance(module, torch.nn.Linear)
            and module.weight is not words
            and part_of(name + ".") in parts
        ):
            yield name, module


def hold_half(model: Any, parts: tuple[Part, ...], empty: bool = False) -> None:
    """Hold the linear layers of parts that are not trained in bfloat16, to which autocast rounds them at every use: the
    model answers as before. Norms and embeddings stay as they are: what they give is added up in float32. The memory of
    an `empty` model's weights is not touched."""
    for _, module in linear(model, parts):
        for p in module.parameters():
            if p.dtype == torch.float32:  # not one in 4 bits
                p.data = torch.empty_like(p, dtype=torch.bfloat16) if empty else p.data.bfloat16()


def freeze(policy: Policy, parts: tuple[Part, ...]) -> None:
    """Stop training of the vision tower, the merger between tower and language model, or the language model."""
    for name, parameter in policy.base.named_parameters():
        if part_of(name) in parts:
            parameter.requires_grad_(False)


def drop_lm_head(policy: Policy) -> None:
    """Leave out the matrix from hidden states to words, which scores don't need. Raises ModelError where it is tied."""
    if policy.base.config.get_text_config().tie_word_embeddings:
        raise ModelError(
            f"{policy.name} has no head of its own to drop: it is tied to the embedding; give lm_head=keep"
        )
    policy.base.lm_head = torch.nn.Identity()
