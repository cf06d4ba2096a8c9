"""Text in pictures, with its places, by RapidOCR: its models come inside the package, and nothing is fetched."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from visreason.prompt import open_image
from visreason.record import Image

LEAST_SCORE = 0.5


@dataclass(frozen=True)
class Line:
    """A text, its place as (left, top, right, bottom) in pixels, and how sure the reader is (0 to 1).

    >>> Line("12 cm", (10, 20, 60, 34), 0.99).row()
    ['12 cm', [10, 20, 60, 34], 0.99]
    """

    text: str
    box: tuple[int, int, int, int]
    score: float

    def row(self) -> list[Any]:
        """As it is stored."""
        return [self.text, list(self.box), self.score]


class Reader:
    """Reads pictures one by one. Needs the extra `data`."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR  # loads onnxruntime and three models

        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        self.engine = RapidOCR(params={"Global.log_level": "error"})

    def read(self, image: Image) -> list[Line]:
        """The texts of a picture in reading order. Raises DataError for one that can't be opened."""
        found: Any = self.engine(open_image(image))  # an array it would take for one with blue first
        if found.boxes is None or not found.txts:
            return []
        return [
            Line(text, _box(corners), round(float(score), 4))
            for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
            if score >= LEAST_SCORE
        ]


def _box(corners: Any) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    return round(float(left)), round(float(top)), round(float(right)), round(float(bottom))


def placed(lines: list[Line]) -> str:
    """The texts with the places of their upper left corners, a line each.

    >>> placed([Line("12 cm", (10, 20, 60, 34), 0.99)])
    '(10, 20) 12 cm'
    """
    return "\n".join(f"({line.box[0]}, {line.box[1]}) {line.text}" for line in lines)
