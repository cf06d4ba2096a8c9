"""How a picture is put to an engine that describes it in formal language: its kind is asked first, then the form."""

from collections.abc import Sequence
from typing import Any

from visreason.prompt.put import put
from visreason.record import Image

KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "chart": (("csv|json", "matplotlib"), "the plotted data, and Matplotlib code that draws the chart"),
    "table": (("csv|json",), "the table"),
    "flow": (("mermaid|plantuml",), "the chart in Mermaid or PlantUML"),
    "circuit": (("spice",), "its netlist"),
    "interface": (("html",), "the screen in HTML"),
    "music": (("lilypond",), "the notes"),
    "mathematics": ((), ""),
    "text": ((), ""),
    "natural": ((), ""),
    "mixed": ((), ""),
}
"""Kinds of pictures: the languages each is written in (either of two behind a |), and what they hold."""
TEXTS = {"mathematics": "mathematics", "text": "document", "natural": "caption", "mixed": "caption"}
"""Kinds that are described in other forms than code."""


def ask_kind(images: Sequence[Image]) -> list[dict[str, Any]]:
    """Asks for one word of KINDS."""
    return put("formalize_classify.user.md", {}, images)


def ask_description(kind: str, question: str, ocr: str, images: Sequence[Image]) -> list[dict[str, Any]]:
    """Asks for a description in the forms of the kind; `ocr` is what was read in the pictures, or nothing.

    Raises DataError for a control token in a text.
    """
    languages, holds = KINDS[kind]
    blocks = " and ".join(name.replace("|", " or ") for name in languages)
    values = {"ocr": ocr or "nothing", "kind": kind, "question": question, "form": holds, "blocks": blocks}
    return put(f"formalize_{TEXTS.get(kind, 'formal')}.user.md", values, images)
