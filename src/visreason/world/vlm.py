"""A tiny Qwen2.5-VL with a tokenizer of its own, untrained, as an ordinary Hugging Face directory."""

from collections.abc import Iterable
from pathlib import Path

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
ROPE = {"rope_type": "default", "mrope_section": [1, 3, 12], "rope_theta": 100.0}
"""M-RoPE gives the columns of a picture its lowest frequencies: with the usual theta and sections a head of 32 numbers
can't tell neighbours apart, and reading a picture of 4 x 4 tokens is hardly learned (docs/log.md)."""
SPREAD = 0.06
"""Standard deviation of the first weights, about 1 / sqrt(width), as wide models' 0.02 is for them."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""Whole tokens, though not special ones, as <think> is in Qwen3's tokenizer."""
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2.5-VL's turns, without the system line it adds by itself: a tiny model reads every token at a price."""


def build(folder: Path, texts: Iterable[str], seed: int = 0, vocabulary: int = 1024) -> Path:
    """Write the model: a byte-level BPE learned from `texts`, Qwen's special tokens, about 3 M random weights."""
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5_VLConfig,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    from visreason.model.load import create

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_byte_level_bpe(texts, vocabulary),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
        chat_template=CHAT,
    )
    tokenizer.add_tokens(list(TAGS))
    create(Qwen2_5_VLConfig(**_config(tokenizer)), folder, seed, bias_spread=1.0)
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=28 * 28 * 64),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT,
    )
    processor.save_pretrained(folder)
    return folder


def _byte_level_bpe(texts: Iterable[str], vocabulary: int):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    # Digits stay apart, so that a number is read and written place by place; a space joins the first.
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r" ?\d"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return core


def _config(tokenizer) -> dict:
    token = tokenizer.convert_tokens_to_ids
    ends = {
        "bos_token_id": token("<|im_start|>"),
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
    }
    text = {
        "hidden_size": 192, "intermediate_size": 576, "num_hidden_layers": 4, "num_attention_heads": 6,
        "num_key_value_heads": 2, "vocab_size": len(tokenizer), "max_position_embeddings": 4096,
        "tie_word_embeddings": True, "rope_parameters": ROPE, "initializer_range": SPREAD, **ends,
    }  # fmt: skip
    vision = {
        "depth": 3, "hidden_size": 128, "intermediate_size": 256, "num_heads": 4, "out_hidden_size": 192,
        "fullatt_block_indexes": [0, 1, 2], "window_size": 112, "patch_size": 14, "spatial_merge_size": 2,
        "initializer_range": SPREAD,
    }  # fmt: skip
    return {
        "text_config": text,
        "vision_config": vision,
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "tie_word_embeddings": True,
        "initializer_range": SPREAD,
        **ends,
    }
