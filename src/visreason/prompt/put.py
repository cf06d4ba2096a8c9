"""Prose templates of prompts, filled safely: what others wrote is data in them, and stays that."""

import re
from collections.abc import Sequence
from typing import Any

from visreason.errors import DataError
from visreason.prompt.layouts import control_token
from visreason.prompt.styles import text
from visreason.record import Image

FENCE = re.compile(
    r"<\s*/?\s*(?:question|content|description|thought|answer_[ab]|data)\s*/?\s*>", re.IGNORECASE
)
"""Marks between which templates put what others wrote; engines are told to read it as data."""


def put(template: str, values: dict[str, str], images: Sequence[Image] = ()) -> list[dict[str, Any]]:
    """One user turn: the images, then the template of that name with its placeholders filled in one pass.

    Marks of the template's fences are taken out of the values. Raises DataError for a control token in one.
    """
    for value in values.values():
        if found := control_token(value):
            raise DataError(f"expected plain text, found the control token {found!r}")
    plain = {name: FENCE.sub(" ", value) for name, value in values.items()}
    filled = re.sub(r"\{(\w+)\}", lambda m: plain.get(m[1], m[0]), text(template))
    shown: list[dict[str, Any]] = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": filled}]}]
