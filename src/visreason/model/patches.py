"""Pictures as the patches that a vision tower takes: how many they give is known from their sizes, and pixels are read
when they are asked for.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

import torch
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from visreason.errors import DataError
from visreason.prompt.images import image_record, open_image
from visreason.record import Image

MAX_BYTES = 1 << 30
"""Of the latest pictures' patches, which are remembered."""


def numbers(vision: Any) -> int:
    """Numbers of one patch, by a vision tower's configuration."""
    return getattr(vision, "in_channels", 3) * vision.temporal_patch_size * vision.patch_size**2


class Patches:
    """Pictures cut into patches by an image processor, the latest of them remembered up to `max_bytes`. Threads may
    share it."""

    def __init__(self, processor: Any, max_bytes: int = MAX_BYTES) -> None:
        self.processor, self.max_bytes = processor, max_bytes
        self._latest: OrderedDict[Image, torch.Tensor] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def grid(self, image: Image) -> tuple[int, int, int]:
        """Time, height and width of a picture in patches, from its size alone, which is looked up where its record
        lacks it. Raises DataError for a file that is no picture then."""
        cut = self.processor
        size, area = image.size or image_record(image.path).size, cut.size
        assert size is not None
        (width, height), side = size, cut.patch_size * cut.merge_size
        height, width = smart_resize(height, width, side, area["shortest_edge"], area["longest_edge"])
        return 1, height // cut.patch_size, width // cut.patch_size

    def read(self, images: Sequence[Image]) -> torch.Tensor:
        """The patches (patches, values) of some pictures, float32. Raises DataError for one that can't be read, or has
        another size than its record says."""
        pieces = [self._read(image) for image in images]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _read(self, image: Image) -> torch.Tensor:
        with self._lock:
            if image in self._latest:
                self._latest.move_to_end(image)
                return self._latest[image]
        # One by one: pictures of one size would be stacked, which takes three times as long.
        made = self.processor(images=[open_image(image)], return_tensors="pt")
        found, expected = tuple(made["image_grid_thw"][0].tolist()), self.grid(image)
        if found != expected:
            raise DataError(
                f"expected a picture of {image.size} in {image.path}, which is {expected} patches, found {found}: the "
                "file is another than when its size was read; restore it"
            )
        self._remember(image, made["pixel_values"])
        return made["pixel_values"]

    def _remember(self, image: Image, patches: torch.Tensor) -> None:
        with self._lock:
            if image not in self._latest:
                self._latest[image] = patches
                self._bytes += patches.nbytes
            while self._bytes > self.max_bytes:
                self._bytes -= self._latest.popitem(last=False)[1].nbytes
