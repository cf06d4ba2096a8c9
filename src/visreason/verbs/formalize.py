"""Describe pictures in formal language, by their kind, so that a model that does not see can think about them.

Text is read by RapidOCR, things are found by Grounding DINO where boxes=PATH is given; every formal part is parsed,
and asked for again where it can't be. problems.jsonl holds the problems with their description, made.jsonl its parts.
"""

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from visreason.factory.blocks import in_blocks
from visreason.factory.formalize import Tools, formalize
from visreason.factory.inputs import Engines, Making, problems_of
from visreason.factory.pipeline import DROPPED, PROBLEMS, Made, Work, console, lengths
from visreason.store import Run, model_files, write_records


class Recipe(Making):
    """What describes, reads and finds."""

    describer: str = Field(
        description="Engine that sees and describes.", examples=["http://127.0.0.1:8000/v1"]
    )
    ocr: bool = Field(True, description="Read the text in pictures (the extra `data`).")
    boxes: str | None = Field(None, description="Grounding DINO, as a path or hub id; null: no boxes.")


def run(recipe: Recipe, out: Path) -> None:
    """Formalize, write problems.jsonl and dropped.jsonl, and seal with the funnel."""
    record = Run.open(out, "formalize", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    if not recipe.boxes:
        console.print("no model for the role boxes: descriptions have no bounding boxes")
    problems, stage, drops = problems_of(recipe, record)
    console.print(f"{len(problems)} problems of {stage.into} for {recipe.describer}")
    made, troubles = in_blocks(record, recipe, problems, stage, partial(_work, recipe, out))
    kept = [m.problem for m in made if m.rule is None]
    write_records(out / PROBLEMS, kept)
    record.rewind({DROPPED: 0})
    record.append(
        DROPPED, drops + [{"id": m.problem.id, "rule": m.rule, "why": m.why} for m in made if m.rule]
    )
    summary = {**summarize(made), "funnel": [stage.row()], "troubles": troubles}
    record.seal(summary, [Path(recipe.data), *model_files(recipe.describer)], {"problems": len(kept)})
    console.print(f"{len(kept)} problems with descriptions in {out / PROBLEMS}")


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


def summarize(made: list[Made]) -> dict[str, Any]:
    """Kinds of pictures, languages of their descriptions, and lengths."""
    kinds: dict[str, int] = {}
    languages: dict[str, int] = {}
    for m in (m for m in made if m.rule is None):
        kinds[m.steps["kind"]] = kinds.get(m.steps["kind"], 0) + 1
        for name in m.steps.get("code", {}):
            languages[name] = languages.get(name, 0) + 1
    texts = [m.problem.description or "" for m in made if m.rule is None]
    return {"kinds": kinds, "languages": languages, "lengths": {"descriptions": lengths(texts)}}
