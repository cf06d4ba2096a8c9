"""The primer: what a model from nothing needs before it can answer anything, in small and dense lessons.

Some name one cell of a picture or one row or column of cells, some read a whole picture as thoughts do, and some have
no picture: sums, and the letters of options. Whole questions teach the same, but far more slowly: a model that can't
tell cells yet learns nothing from where it should have looked (docs/log.md).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image as Picture

from visreason.prompt.chat import choice_lines
from visreason.record import Problem
from visreason.world import pen, problems
from visreason.world.draft import COLUMNS, EMPTY, LETTERS, Cell, Draft, Scene

SIDE = pen.SIZE // pen.CELL
SUM = re.compile(r"(?<![-+*/] )\b(\d+ [-+*/] \d+) = (\d+)\.")
PICTURE = ("What is in each row?", "What shape is in each row?", "What color and shape is in each row?")
"""Asks for the first word of each cell (its colour, or what is written there), the second one, or both."""
LESSONS = ("piece", "picture", "piece", "picture", "sum", "piece", "picture", "letter")


def draw(index: int, seed: int = 0) -> tuple[Problem, Picture.Image | None]:
    """Lesson number `index`, and its picture if it has one; lessons take turns."""
    rng = Random(f"visreason primer {seed} {index}")
    lesson = LESSONS[index % len(LESSONS)]
    question, answer, canvas = DRAWN[lesson](rng, _drafts(rng, seed))
    problem = Problem(
        id=f"primer-{index}", question=question, answer=answer, check="exact",
        meta={"source": "world", "family": "primer", "form": lesson, "level": 0},
    )  # fmt: skip
    return problem, None if canvas is None else Picture.fromarray(canvas)


def write(folder: Path, n: int, seed: int = 0) -> Path:
    """Write n lessons to folder/primer.jsonl, pictures to folder/images; returns the file's path."""
    return problems.write_drawn(folder, "primer", (draw(i, seed) for i in range(n)), n)


Lesson = tuple[str, str, np.ndarray | None]
"""Question, answer, picture."""


def _drafts(rng: Random, seed: int) -> Iterator[Draft]:
    while True:
        yield problems.draft("train", rng.randrange(1000 * problems.ROUND), seed)


def _sum(rng: Random, drafts: Iterator[Draft]) -> Lesson:
    term, result = rng.choice(next(found for d in drafts if (found := SUM.findall(d.thought))))
    return f"What is {term}?", f"{term} = {result}.", None


def _letter(rng: Random, drafts: Iterator[Draft]) -> Lesson:
    choices = next(d.choices for d in drafts if d.choices)
    letter, asked = rng.choice(list(zip(LETTERS, choices, strict=False)))
    listed = choice_lines(Problem("", "", choices=choices))
    return f"What letter has {asked}?\n{listed}", f"{asked} is {letter}.", None


def _piece(rng: Random, drafts: Iterator[Draft]) -> Lesson:
    """One cell, or a whole row or column, mostly where something is."""
    scene = next(drafts).scene
    row, column = rng.choice(sorted(scene.cells))
    if rng.random() < 0.1:
        row, column = rng.randrange(SIDE), rng.randrange(SIDE)
    rows, columns = range(row, row + 1), range(column, column + 1)
    pieces = ((range(SIDE), columns), (rows, columns), (rows, range(SIDE)))
    rows, columns = pieces[0] if scene.tall else rng.choice(pieces)
    names = [" ".join(_words(scene, (r, c))) for r in rows for c in columns]
    if scene.tall:
        names = list(dict.fromkeys(n for n in names if n != EMPTY)) or [EMPTY]
    canvas = scene.paint()
    top, left = rows[0] * pen.CELL, columns[0] * pen.CELL
    canvas = canvas[top : top + len(rows) * pen.CELL, left : left + len(columns) * pen.CELL]
    return "What is here?", ", ".join(names), canvas


def _picture(rng: Random, drafts: Iterator[Draft]) -> Lesson:
    """Everything in a picture, column by column in each row where something is."""
    scene = next(drafts).scene
    if scene.tall:
        bottom = [" ".join((name, *_words(scene, (SIDE - 1, c)))) for c, name in enumerate(COLUMNS)]
        return "What is in each column?", f"{', '.join(bottom)}.", scene.paint()
    asked = rng.randrange(3 if max(map(len, scene.cells.values())) > 1 else 1)
    kept = (slice(0, 1), slice(-1, None), slice(None))[asked]
    rows = [
        f"row {r + 1}: "
        + ", ".join(" ".join((name, *_words(scene, (r, c))[kept])) for c, name in enumerate(COLUMNS))
        for r in sorted({row for row, _ in scene.cells})
    ]
    return PICTURE[asked], f"{'. '.join(rows)}.", scene.paint()


def _words(scene: Scene, cell: Cell) -> tuple[str, ...]:
    return scene.cells.get(cell, (EMPTY,))


DRAWN = {"piece": _piece, "picture": _picture, "sum": _sum, "letter": _letter}
