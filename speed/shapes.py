"""Configurations of the published models by their sizes, for random weights and for plans without a download.

Sources: the config.json of each model on the hub.
"""

from transformers import Qwen2_5_VLConfig, Qwen2VLConfig

IDS = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
ROPE = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}


def text(hidden: int, inner: int, layers: int, heads: int, keys: int, words: int, tied: bool = False) -> dict:
    return {
        "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": keys, "vocab_size": words, "tie_word_embeddings": tied, "rope_parameters": ROPE,
        "max_position_embeddings": 128000,
    }  # fmt: skip


def qwen2_5_vl(width: int, **sizes) -> Qwen2_5_VLConfig:
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": width,
        "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112, "patch_size": 14, "spatial_merge_size": 2,
    }  # fmt: skip
    tied = sizes.get("tied", False)
    return Qwen2_5_VLConfig(
        text_config=text(width, **sizes), vision_config=vision, **IDS, tie_word_embeddings=tied
    )


def qwen2_vl(width: int, **sizes) -> Qwen2VLConfig:
    vision = {
        "depth": 32,
        "embed_dim": 1280,
        "hidden_size": width,
        "num_heads": 16,
        "mlp_ratio": 4,
        "patch_size": 14,
    }
    return Qwen2VLConfig(
        text_config=text(width, **sizes), vision_config=vision, **IDS, tie_word_embeddings=False
    )


SMALL = {"inner": 18944, "layers": 28, "heads": 28, "keys": 4, "words": 152064}
SHAPES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": lambda: qwen2_5_vl(
        2048, inner=11008, layers=36, heads=16, keys=2, words=151936, tied=True
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": lambda: qwen2_5_vl(3584, **SMALL),
    "Qwen/Qwen2-VL-7B-Instruct": lambda: qwen2_vl(3584, **SMALL),
    "Qwen/Qwen2-VL-72B-Instruct": lambda: qwen2_vl(
        8192, inner=29568, layers=80, heads=64, keys=8, words=152064
    ),
}
