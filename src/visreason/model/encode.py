"""From a conversation to tokens, pixels and positions: once per prompt, kept for every completion of it."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from visreason.errors import DataError, ModelError
from visreason.model.turn import Turn, find_turn
from visreason.prompt import Style, messages
from visreason.prompt.chat import VISUAL_TOKENS, Conversation
from visreason.prompt.images import open_image
from visreason.record import Completion, Image, Problem

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
        """Bytes of its tensors."""
        return sum(
            t.numel() * t.element_size()
            for t in (self.ids, self.positions, self.pixels, self.grid_N3)
            if t is not None
        )


class Encoder:
    """Turns conversations into prompts with a model's processor, and remembers the latest ones.

    `max_tokens` refuses a longer prompt (an image is never cut); `max_cache_bytes` bounds what is remembered.
    """

    def __init__(
        self, processor: Any, model: Any, max_tokens: int = 8192, max_cache_bytes: int = 1 << 30
    ) -> None:
        self.processor, self.tokenizer, self.config = processor, processor.tokenizer, model.config
        self.rope = model.model.get_rope_index
        self.max_tokens, self.max_cache_bytes = max_tokens, max_cache_bytes
        self._cache: OrderedDict[str, Prompt] = OrderedDict()
        self._cached_bytes = 0
        self.visual_ids = self._visual_ids()
        eos = model.generation_config.eos_token_id or self.tokenizer.eos_token_id
        self.eos_ids: tuple[int, ...] = tuple(eos) if isinstance(eos, (list, tuple)) else (eos,)

    def prompt(self, conversation: Conversation) -> Prompt:
        """Encode a conversation up to where the assistant begins. Raises DataError if it is too long or unreadable."""
        found = self.prompts([conversation])[0]
        if isinstance(found, DataError):
            raise found
        return found

    def prompts(self, conversations: list[Conversation]) -> list[Prompt | DataError]:
        """Encode several conversations in one call of the processor; one that can't be read gives its error."""
        keys = [repr(c) for c in conversations]
        fresh = {k: c for k, c in zip(keys, conversations, strict=True) if k not in self._cache}
        encoded = dict(zip(fresh, self._encode(list(fresh.values())), strict=True))
        found = [encoded.get(k) or self._cache[k] for k in keys]
        for key in keys:
            self._remember(key, encoded.get(key))
        return found

    def asked(self, problems: Sequence[Problem], style: Style) -> list[Prompt | DataError]:
        """The prompts of problems, encoded in one call; one that can't be asked or read gives its error."""
        made = [_messages_or_error(problem, style) for problem in problems]
        found = iter(self.prompts([c for c in made if not isinstance(c, DataError)]))
        return [c if isinstance(c, DataError) else next(found) for c in made]

    def all_asked(self, problems: Sequence[Problem], style: Style) -> list[Prompt]:
        """The prompts of problems, encoded in one call. Raises DataError if one can't be asked or read."""
        found = self.asked(problems, style)
        if error := next((p for p in found if isinstance(p, DataError)), None):
            raise error
        return [p for p in found if isinstance(p, Prompt)]

    def _remember(self, key: str, prompt: Prompt | DataError | None) -> None:
        if key in self._cache:
            self._cache.move_to_end(key)
        elif isinstance(prompt, Prompt):
            self._cache[key] = prompt
            self._cached_bytes += prompt.bytes
            while self._cached_bytes > self.max_cache_bytes and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].bytes

    def fits(self, conversation: Conversation) -> bool:
        """Whether a conversation's prompt is within `max_tokens`; no pixel is read.

        Byte-level vocabularies never make more tokens than bytes, so most prompts need not be tokenized to know; an
        image has a mark on either side.
        """
        images = [part["image"] for m in conversation for part in m["content"] if part["type"] == "image"]
        texts = [part["text"] for m in conversation for part in m["content"] if part["type"] == "text"]
        at_most = (
            sum(2 + self._image_tokens(i) for i in images)
            + sum(len(t.encode()) + 32 for t in texts)
            + 64 * len(conversation)
        )
        return at_most <= self.max_tokens or self.count(conversation) <= self.max_tokens

    def count(self, conversation: Conversation) -> int:
        """Tokens of a conversation's prompt, from its text and the sizes of its images; no pixel is read.

        Raises DataError for an image whose size is not known.
        """
        text = self.text(conversation)
        images = [part["image"] for m in conversation for part in m["content"] if part["type"] == "image"]
        tokens = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return tokens + sum(self._image_tokens(i) - 1 for i in images)

    def _image_tokens(self, image: Image) -> int:
        if image.size is None:
            raise DataError(f"the size of {image.path} is not known; read it with prompt.image_record first")
        width, height = image.size
        patches = self.processor.image_processor.get_number_of_image_patches(height, width, {})
        return patches // self.config.vision_config.spatial_merge_size**2

    def completion(self, text: str) -> torch.Tensor:
        """Token ids (T,) of a written completion, closed by the end-of-turn token."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor([*ids, self.tokenizer.eos_token_id])

    def sampled(self, completion: Completion) -> torch.Tensor:
        """Token ids (T,) of a completion to learn: those that were sampled, where they are this model's words for its
        text; else those of the text, closed by the end-of-turn token unless the completion was cut off."""
        ids = list(completion.token_ids)
        words = ids[:-1] if ids and ids[-1] in self.eos_ids else ids
        if ids and max(ids) < len(self.tokenizer) and self.tokenizer.decode(words) == completion.text:
            return torch.tensor(ids)
        written = self.completion(completion.text)
        return written[:-1] if completion.finish == "length" else written

    def turns(self, prompt: Prompt, texts: list[str]) -> tuple[Prompt, list[torch.Tensor]]:
        """The prompt up to the last control token, and ids of the assistant's whole turn for each text: what follows
        that token, the text, and what closes the turn, as one piece, so that the tokens are those of the conversation.

        Each turn ends with one more token that no position of a branch reads, so that a branch's last position has
        read the whole turn.
        """
        rows = [torch.tensor([*self._turn.ids(text), self.tokenizer.eos_token_id]) for text in texts]
        end = len(prompt.ids) - self._turn.tokens
        return replace(prompt, ids=prompt.ids[:end], positions=prompt.positions[:, :end]), rows

    @cached_property
    def _turn(self) -> Turn:
        return find_turn(self.processor)

    def _encode(self, conversations: list[Conversation]) -> list[Prompt | DataError]:
        opened = [self._open(c) for c in conversations]
        good = [
            (c, images)
            for c, images in zip(conversations, opened, strict=True)
            if not isinstance(images, DataError)
        ]
        if not good:
            return [images for images in opened if isinstance(images, DataError)]
        texts = [self.text(c) for c, _ in good]
        flat = [image for _, images in good for image in images]
        batch = self.processor(text=texts, images=flat or None, padding=True, return_tensors="pt")
        self.tokenizer.backend_tokenizer.no_padding()  # or the tokenizer would be saved with it
        pixels, grid = batch.get("pixel_values"), batch.get("image_grid_thw")
        ids = [
            row[mask.bool()] for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
        counts = [len(images) for _, images in good]
        grids = grid.split(counts) if grid is not None else [None] * len(good)
        patches = [int(g.prod(-1).sum()) if g is not None else 0 for g in grids]
        # A copy each, or one remembered prompt would keep the pixels of all.
        pieces = [p.clone() for p in pixels.split(patches)] if pixels is not None else [None] * len(good)
        made = iter(self._prompt(*parts) for parts in zip(ids, pieces, grids, strict=True))
        return [o if isinstance(o, DataError) else next(made) for o in opened]

    def _open(self, conversation: Conversation) -> list[Any] | DataError:
        try:
            return [
                open_image(part["image"])
                for m in conversation
                for part in m["content"]
                if part["type"] == "image"
            ]
        except DataError as e:
            return e

    def text(self, conversation: Conversation) -> str:
        """The conversation in the chat template, with one placeholder an image, up to where the assistant begins."""
        return self.processor.apply_chat_template(
            _template_form(conversation), tokenize=False, add_generation_prompt=True
        )

    def _prompt(
        self, ids: torch.Tensor, pixels: torch.Tensor | None, grid: torch.Tensor | None
    ) -> Prompt | DataError:
        if grid is not None and len(grid) == 0:
            pixels = grid = None
        visual = int((ids == self.config.image_token_id).sum())
        if len(ids) > self.max_tokens:
            return DataError(
                f"the prompt has {len(ids)} tokens ({visual} of them for its images), the budget is {self.max_tokens}; "
                "lower max_pixels or raise max_prompt_tokens"
            )
        merge = self.config.vision_config.spatial_merge_size**2
        features = 0 if grid is None else int(grid.prod(-1).sum()) // merge
        if visual != features:
            return DataError(
                f"the prompt has {visual} image tokens and its images give {features} features; the processor and the "
                "model do not belong together, or the text holds image tokens"
            )
        positions, _ = self.rope(
            ids[None], (ids == self.config.image_token_id).int()[None] * IMAGE, image_grid_thw=grid
        )
        return Prompt(ids, positions[:, 0], pixels, grid)

    def _visual_ids(self) -> tuple[int, ...]:
        vocabulary = self.tokenizer.get_vocab()
        ids = {vocabulary[t] for t in VISUAL_TOKENS if t in vocabulary}
        if not ids:
            raise ModelError(
                f"the tokenizer has none of {', '.join(VISUAL_TOKENS)}; is this a Qwen-VL processor?"
            )
        return tuple(sorted(ids))


def _messages_or_error(problem: Problem, style: Style) -> Conversation | DataError:
    try:
        return messages(problem, style)
    except DataError as e:
        return e


def _template_form(conversation: Conversation) -> Conversation:
    """The conversation with bare image marks: the chat template needs only their places."""
    return [
        {**m, "content": [{"type": "image"} if p["type"] == "image" else p for p in m["content"]]}
        for m in conversation
    ]
