"""Boxes of named things by Grounding DINO (arXiv 2303.05499) through transformers, and pictures with boxes drawn in."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image as Picture
from PIL import ImageDraw
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from visreason.errors import ModelError

BOX_THRESHOLD, TEXT_THRESHOLD = 0.35, 0.25
"""Those of the model's own card."""
COLORS = ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b")
Boxes = dict[str, list[float]]
"""A box a phrase: [left, top, right, bottom] in the picture's pixels, with one decimal."""


class Finder:
    """A model that finds things by phrases. `path` is a directory or a hub id. Raises ModelError when none loads."""

    def __init__(self, path: str, device: str = "auto") -> None:
        try:
            self.processor = AutoProcessor.from_pretrained(path)
            self.model = AutoModelForZeroShotObjectDetection.from_pretrained(path)
        except (OSError, ValueError) as e:
            raise ModelError(
                f"expected a Grounding DINO model at {path}, found none that loads ({str(e)[:200]}); give boxes=PATH "
                "or leave it out"
            ) from e
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.model.to(self.device).eval()

    @torch.inference_mode()
    def find(self, picture: Picture.Image, phrases: Sequence[str], threshold: float = BOX_THRESHOLD) -> Boxes:
        """The likeliest box of each phrase that is found at all."""
        asked = [" ".join(p.lower().replace(".", " ").split()) for p in phrases]  # a stop ends a phrase
        if not any(asked):
            return {}
        inputs = self.processor(images=picture, text=". ".join(asked) + ".", return_tensors="pt").to(
            self.device
        )
        found = self.processor.post_process_grounded_object_detection(
            self.model(**inputs), inputs.input_ids, threshold=threshold,
            text_threshold=min(TEXT_THRESHOLD, threshold), target_sizes=[picture.size[::-1]],
        )[0]  # fmt: skip
        best: dict[str, tuple[float, list[float]]] = {}
        scored = zip(found["text_labels"], found["scores"].tolist(), found["boxes"].tolist(), strict=True)
        for label, score, box in scored:
            name = _phrase(label, asked)
            if name is not None and score > best.get(name, (0.0, []))[0]:
                best[name] = (score, [round(v, 1) for v in box])
        return {name: best[name][1] for name in asked if name in best}


def _phrase(label: str, asked: list[str]) -> str | None:
    """The phrase a label stands for: the model may give only some of its words."""
    words = set(label.split())
    shared = {p: len(words & set(p.split())) for p in asked}
    best = max(asked, key=lambda p: shared[p])
    return best if shared[best] else None


def draw(picture: Picture.Image, boxes: Boxes, path: Path) -> None:
    """Write the picture with its boxes and their phrases as PNG."""
    shown = picture.convert("RGB")
    pen = ImageDraw.Draw(shown)
    for i, (name, (left, top, right, bottom)) in enumerate(boxes.items()):
        color = COLORS[i % len(COLORS)]
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=2)
        pen.text((left + 3, top + 2), name, fill=color)
    path.parent.mkdir(parents=True, exist_ok=True)
    shown.save(path, "PNG")
