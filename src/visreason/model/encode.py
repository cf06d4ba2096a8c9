"""From a conversation to tokens, pixels and positions: once per prompt, kept for every completion of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch

from visreason.errors import DataError, ModelError
from visreason.model.patches import Patches
from visreason.model.turn import Turn, find_turn
from visreason.prompt import Style, messages
from visreason.prompt.chat import VISUAL_TOKENS, Conversation
from visreason.record import Completion, Image, Problem

IMAGE = 1
"""Token type of an image placeholder in transformers' `mm_token_type_ids`."""


@dataclass(frozen=True)
class Prompt:
    """An encoded conversation, ready for the model.

    ids (T,) int64; positions (3, T) int64, the model's own M-RoPE index; pixels (patches, values) float32, or what
    reads them when they are needed, or None; grid_N3 (N, 3) int64: time, height and width of each image in patches.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    pixels: torch.Tensor | Callable[[], torch.Tensor] | None
    grid_N3: torch.Tensor | None

    def read(self) -> torch.Tensor | None:
        """Its pixels, read now where they were not. Raises DataError for an image that can't be read."""
        return self.pixels() if callable(self.pixels) else self.pixels


class Encoder:
    """Turns conversations into prompts with a model's processor, and remembers the latest images.

    `max_tokens` refuses a longer prompt (an image is never cut).
    """

    def __init__(self, processor: Any, model: Any, max_tokens: int = 8192) -> None:
        self.processor, self.tokenizer, self.config = processor, processor.tokenizer, model.config
        self.rope = model.model.get_rope_index
        self.max_tokens = max_tokens
        self.patches = Patches(processor.image_processor)
        self._belong_together()
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
        """Encode several conversations and read their images; one that can't be read gives its error."""
        return list(map(_read, self._encode(conversations)))

    def asked(self, problems: Sequence[Problem], style: Style) -> list[Prompt | DataError]:
        """The prompts of problems, with their images; one that can't be asked or read gives its error."""
        made = [_messages_or_error(problem, style) for problem in problems]
        found = iter(self.prompts([c for c in made if not isinstance(c, DataError)]))
        return [c if isinstance(c, DataError) else next(found) for c in made]

    def all_asked(self, problems: Sequence[Problem], style: Style) -> list[Prompt]:
        """The prompts of problems; images are read when they are planted. Raises DataError if one can't be asked."""
        found = self._encode([messages(problem, style) for problem in problems])
        if error := next((p for p in found if isinstance(p, DataError)), None):
            raise error
        return [p for p in found if isinstance(p, Prompt)]

    def fits(self, conversation: Conversation) -> bool:
        """Whether a conversation's prompt is within `max_tokens`; no pixel is read.

        Byte-level vocabularies never make more tokens than bytes, so most prompts need not be tokenized to know; an
        image has a mark on either side.
        """
        texts = [part["text"] for m in conversation for part in m["content"] if part["type"] == "text"]
        at_most = (
            sum(2 + self._image_tokens(i) for i in _images(conversation))
            + sum(len(t.encode()) + 32 for t in texts)
            + 64 * len(conversation)
        )
        return at_most <= self.max_tokens or self.count(conversation) <= self.max_tokens

    def count(self, conversation: Conversation) -> int:
        """Tokens of a conversation's prompt, from its text and the sizes of its images; no pixel is read."""
        tokens = len(self.tokenizer(self.text(conversation))["input_ids"])
        return tokens + sum(self._image_tokens(i) - 1 for i in _images(conversation))

    def _image_tokens(self, image: Image) -> int:
        return math.prod(self.patches.grid(image)) // self.config.vision_config.spatial_merge_size**2

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
        """The prompts of conversations, whose images are not read."""
        texts = [self.text(c) for c in conversations]
        rows = self.tokenizer(texts)["input_ids"] if texts else []
        return [
            self._prompt(torch.tensor(row), _images(c)) for row, c in zip(rows, conversations, strict=True)
        ]

    def text(self, conversation: Conversation) -> str:
        """The conversation in the chat template, with one placeholder an image, up to where the assistant begins."""
        return self.processor.apply_chat_template(
            _template_form(conversation), tokenize=False, add_generation_prompt=True
        )

    def _prompt(self, ids: torch.Tensor, images: list[Image]) -> Prompt | DataError:
        """The prompt of a text's ids, with one placeholder an image, as transformers' processor gives it: as many
        placeholders as the image has tokens."""
        try:
            grids = [self.patches.grid(image) for image in images]
        except DataError as e:
            return e
        places = ids == self.config.image_token_id
        if int(places.sum()) != len(images):
            return DataError(
                f"expected a place in the prompt for each of {len(images)} images, found {int(places.sum())}; take "
                "image tokens out of the text"
            )
        times = torch.ones_like(ids)
        times[places] = torch.tensor([self._image_tokens(i) for i in images], dtype=torch.long)
        ids = ids.repeat_interleave(times)
        if len(ids) > self.max_tokens:
            visual = int((ids == self.config.image_token_id).sum())
            return DataError(
                f"the prompt has {len(ids)} tokens ({visual} of them for its images), the budget is {self.max_tokens}; "
                "lower max_pixels or raise max_prompt_tokens"
            )
        grid = torch.tensor(grids) if grids else None
        positions, _ = self.rope(
            ids[None], (ids == self.config.image_token_id).int()[None] * IMAGE, image_grid_thw=grid
        )
        return Prompt(ids, positions[:, 0], partial(self.patches.read, images) if images else None, grid)

    def _belong_together(self) -> None:
        cut, vision = self.processor.image_processor, self.config.vision_config
        found, expected = (
            (cut.patch_size, cut.merge_size),
            (vision.patch_size, vision.spatial_merge_size),
        )
        if found != expected:
            raise ModelError(
                f"expected a processor that cuts patches of {expected[0]} and merges {expected[1]} a side, as the "
                f"model does, found {found[0]} and {found[1]}; give the model its own preprocessor_config.json"
            )

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


def _read(prompt: Prompt | DataError) -> Prompt | DataError:
    try:
        return prompt if isinstance(prompt, DataError) else replace(prompt, pixels=prompt.read())
    except DataError as e:
        return e


def _images(conversation: Conversation) -> list[Image]:
    return [part["image"] for m in conversation for part in m["content"] if part["type"] == "image"]


def _template_form(conversation: Conversation) -> Conversation:
    """The conversation with bare image marks: the chat template needs only their places."""
    return [
        {**m, "content": [{"type": "image"} if p["type"] == "image" else p for p in m["content"]]}
        for m in conversation
    ]
