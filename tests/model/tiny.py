"""Tiny random models of the supported classes, and random prompts for them."""

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from visreason.model import attention
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree

IMAGE, VIDEO, START, END = 5, 6, 3, 4
VOCABULARY = 97
TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
IDS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}


def qwen2_vl():
    vision = {
        "depth": 2,
        "embed_dim": 16,
        "hidden_size": 32,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
    }
    config = Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": ROPE}, vision_config=vision, **IDS, tie_word_embeddings=True
    )
    return Qwen2VLForConditionalGeneration(config)


def qwen2_5_vl(**text):
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32,
              "fullatt_block_indexes": [1], "window_size": 56, "patch_size": 14}  # fmt: skip
    config = Qwen2_5_VLConfig(text_config={**TEXT, "rope_parameters": ROPE, **text}, vision_config=vision, **IDS,
                              tie_word_embeddings=True)  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config)


def windows():
    """Layers that see the last four tokens alone."""
    return qwen2_5_vl(use_sliding_window=True, sliding_window=4, max_window_layers=0)


def qwen3_vl():
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32,
              "patch_size": 14, "deepstack_visual_indexes": [0], "num_position_embeddings": 64}  # fmt: skip
    config = Qwen3VLConfig(text_config={**TEXT, "head_dim": 8, "rope_parameters": ROPE}, vision_config=vision, **IDS,
                           tie_word_embeddings=True)  # fmt: skip
    return Qwen3VLForConditionalGeneration(config)


CLASSES = {"qwen2_vl": qwen2_vl, "qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl}


def build(name: str):
    torch.manual_seed(0)
    model = {**CLASSES, "windows": windows}[name]().eval()
    for p in model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.15)
    attention.install(model)
    return model


def prompt(model, grids: list[tuple[int, int]], tokens: int, seed: int) -> Prompt:
    """A prompt of text with an image of h x w patches after each few words; no grids gives a text prompt."""
    g = torch.Generator().manual_seed(seed)
    ids = [torch.randint(10, VOCABULARY, (tokens,), generator=g)]
    for h, w in grids:
        span = torch.cat([torch.tensor([START]), torch.full((h * w // 4,), IMAGE), torch.tensor([END])])
        ids += [span, torch.randint(10, VOCABULARY, (tokens,), generator=g)]
    row = torch.cat(ids)
    grid = torch.tensor([[1, h, w] for h, w in grids]) if grids else None
    values = 3 * 2 * 14 * 14
    pixels = torch.randn(sum(h * w for h, w in grids), values, generator=g) if grids else None
    positions, _ = model.model.get_rope_index(row[None], (row[None] == IMAGE).int(), image_grid_thw=grid)
    return Prompt(row, positions[:, 0], pixels, grid)


def branch(tokens: int, seed: int) -> Branch:
    g = torch.Generator().manual_seed(seed)
    return Branch(torch.randint(10, VOCABULARY, (tokens,), generator=g), torch.rand(tokens, generator=g))


def forest_trees(model) -> list[Tree]:
    """One and two images, no image, one branch and several of unequal length."""
    return [
        Tree(prompt(model, [(4, 6)], 5, 1), (branch(7, 1), branch(3, 2), branch(5, 3))),
        Tree(prompt(model, [], 6, 2), (branch(4, 4), branch(6, 5))),
        Tree(prompt(model, [(4, 4), (6, 4)], 3, 3), (branch(5, 6),)),
        Tree(prompt(model, [(8, 4)], 2, 4), (branch(1, 7), branch(9, 8))),
    ]
