"""From a conversation to tokens, pixels and positions: once per prompt, kept for every completion of it."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch

from visreason.errors import DataError, ModelError
from visreason.prompt.images import open_image

VISUAL_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
IMAGE = 1
"""Token type of an image placeholder in transformers' `mm_token_type_ids`."""


@dataclass(frozen=True)
class Prompt:
    """An encoded conversation, ready for the model.

    ids (T,) int64; positions (3, T) int64, the model's own M-RoPE index; pixels (patches, values) float32 or None;
    grid_N3 (N, 3) int64: time, height and width of each image in patches.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    pixels: torch.Tensor | None
    grid_N3: torch.Tensor | None

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.ids, self.positions, self.pixels, self.grid_N3) if t is not None)


class Encoder:
    """Turns conversations into prompts with a model's processor, and remembers the latest ones.

    `max_tokens` refuses a longer prompt (an image is never cut); `max_cache_bytes` bounds what is remembered.
    """

    def __init__(self, processor: Any, model: Any, max_tokens: int = 8192, max_cache_bytes: int = 1 << 30) -> None:
        self.processor, self.tokenizer, self.config = processor, processor.tokenizer, model.config
        self.rope = model.model.get_rope_index
        self.max_tokens, self.max_cache_bytes = max_tokens, max_cache_bytes
        self._cache: OrderedDict[str, Prompt] = OrderedDict()
        self._cached_bytes = 0
        self.visual_ids = self._visual_ids()
        eos = model.generation_config.eos_token_id or self.tokenizer.eos_token_id
        self.eos_ids: tuple[int, ...] = tuple(eos) if isinstance(eos, (list, tuple)) else (eos,)

    def prompt(self, conversation: list[dict[str, Any]]) -> Prompt:
        """Encode a conversation up to where the assistant begins. Raises DataError when it is too long or unreadable."""
        key = repr(conversation)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        prompt = self._encode(conversation)
        self._cache[key] = prompt
        self._cached_bytes += prompt.bytes
        while self._cached_bytes > self.max_cache_bytes and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].bytes
        return prompt

    def count(self, conversation: list[dict[str, Any]]) -> int:
        """Tokens of a conversation's prompt, from its text and the sizes of its images; no pixel is read.

        Raises DataError for an image whose size is not known.
        """
        text = self.processor.apply_chat_template(_template_form(conversation), tokenize=False, add_generation_prompt=True)
        tokens = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        merge = self.config.vision_config.spatial_merge_size**2
        for image in (part["image"] for m in conversation for part in m["content"] if part["type"] == "image"):
            if image.size is None:
                raise DataError(f"the size of {image.path} is not known; read it with prompt.image_record first")
            width, height = image.size
            tokens += self.processor.image_processor.get_number_of_image_patches(height, width, {}) // merge - 1
        return tokens

    def completion(self, text: str) -> torch.Tensor:
        """Token ids (T,) of a written completion, closed by the end-of-turn token."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor([*ids, self.tokenizer.eos_token_id])

    def _encode(self, conversation: list[dict[str, Any]]) -> Prompt:
        text = self.processor.apply_chat_template(_template_form(conversation), tokenize=False, add_generation_prompt=True)
        images = [open_image(part["image"]) for m in conversation for part in m["content"] if part["type"] == "image"]
        batch = self.processor(text=[text], images=images or None, return_tensors="pt")
        ids, grid = batch["input_ids"][0], batch.get("image_grid_thw")
        self._check(ids, grid, len(images))
        types = (ids == self.config.image_token_id).int() * IMAGE
        positions, _ = self.rope(ids[None], types[None], image_grid_thw=grid)
        return Prompt(ids, positions[:, 0], batch.get("pixel_values"), grid)

    def _check(self, ids: torch.Tensor, grid: torch.Tensor | None, images: int) -> None:
        if len(ids) > self.max_tokens:
            visual = int((ids == self.config.image_token_id).sum())
            raise DataError(
                f"the prompt has {len(ids)} tokens ({visual} of them for {images} images), the budget is {self.max_tokens}; "
                "lower max_pixels or raise max_prompt_tokens"
            )
        merge = self.config.vision_config.spatial_merge_size**2
        features = 0 if grid is None else int(grid.prod(-1).sum()) // merge
        tokens = int((ids == self.config.image_token_id).sum())
        if tokens != features:
            raise DataError(f"the prompt has {tokens} image tokens and its images give {features} features; "
                            "the processor and the model do not belong together, or the text holds image tokens")  # fmt: skip

    def _visual_ids(self) -> tuple[int, ...]:
        vocabulary = self.tokenizer.get_vocab()
        ids = {vocabulary[t] for t in VISUAL_TOKENS if t in vocabulary}
        if not ids:
            raise ModelError(f"the tokenizer has none of {', '.join(VISUAL_TOKENS)}; is this a Qwen-VL processor?")
        return tuple(sorted(ids))


def _template_form(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with bare image marks: the chat template needs only their places."""
    return [
        {**m, "content": [{"type": "image"} if p["type"] == "image" else p for p in m["content"]]} for m in conversation
    ]
