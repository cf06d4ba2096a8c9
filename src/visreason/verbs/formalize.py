"""Describe pictures in formal language, by their kind, so that a model that does not see can think about them.

Text is read by RapidOCR, things are found by Grounding DINO where boxes=PATH is given; every formal part is parsed,
and asked for again where it can't be. problems.jsonl holds the problems with their description, made.jsonl its parts.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from visreason.factory.blocks import in_blocks
from visreason.factory.formalize import Tools, formalize
from visreason.factory.inputs import Engines, Making, decontaminating, problems_of, sifted, sifting, sources
from visreason.factory.pipeline import MADE, PROBLEMS, Work, console, kept, lengths, write_dropped
from visreason.store import Run, write_records


class Recipe(Making):
    """What describes, reads and finds."""

    ROLES = ("describer",)

    describer: str = Field(
        description="Engine that sees and describes.", examples=["http://127.0.0.1:8000/v1"]
    )
    ocr: bool = Field(True, description="Read the text in pictures (the extra `data`).")
    boxes: str | None = Field(None, description="Grounding DINO, as a path or hub id; null: no boxes.")

    def idle(self) -> dict[str, str]:
        return {k: v for k, v in super().idle().items() if k != "device" or not self.boxes}


def run(recipe: Recipe, out: Path) -> None:
    """Formalize, write problems.jsonl and dropped.jsonl, and seal with the funnel."""
    record = Run.open(out, "formalize", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    if not recipe.boxes:
        console.print("no model for the role boxes: descriptions have no bounding boxes")
    problems, stage = problems_of(recipe, record)
    problems, drops = sifted(problems, sifting(recipe, decontaminating(recipe)), stage)
    console.print(f"{len(problems)} problems of {stage.into} for {recipe.describer}")
    in_blocks(record, recipe, problems, stage, partial(_work, recipe, out))
    n = write_records(out / PROBLEMS, (made.problem for made in kept(out / MADE)))
    write_dropped(record, drops)
    summary = {**summarize(out / MADE), "funnel": [stage.row()], "troubles": record.troubles()}
    record.seal(summary, sources(recipe, out), {"problems": n})
    console.print(f"{n} problems with descriptions in {out / PROBLEMS}")


def _work(recipe: Recipe, out: Path) -> Work:
    reader: Any = None
    finder: Any = None
    if recipe.ocr:
        from visreason.factory.ocr import Reader

        reader = Reader()
    if recipe.boxes:
        from visreason.factory.boxes import Finder, draw

        finder = partial(_boxed, Finder(recipe.boxes, recipe.device).find, draw)
    engines = Engines(recipe, out)
    describer = engines.get("describer", recipe.describer)
    tools = Tools(describer, reader, finder, out / "boxes", recipe.max_completion_tokens)
    return engines.counting(lambda block, seed: formalize(block, tools, seed))


def _boxed(find: Any, draw: Any, picture: Any, phrases: list[str], path: Path) -> dict[str, list[float]]:
    """Boxes of the phrases, drawn into a copy of the picture."""
    boxes = find(picture, phrases)
    draw(picture, boxes, path)
    return boxes


def summarize(path: Path) -> dict[str, Any]:
    """Kinds of pictures, languages of their descriptions, and lengths."""
    kinds, languages = Counter[str](), Counter[str]()
    for made in kept(path):
        kinds.update([made.steps["kind"]])
        languages.update(list(made.steps.get("code", {})))
    texts = (made.problem.description or "" for made in kept(path))
    return {"kinds": kinds, "languages": languages, "lengths": {"descriptions": lengths(texts)}}
