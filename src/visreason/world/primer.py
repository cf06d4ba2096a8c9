"""The primer: what a model from nothing needs before it can answer anything, in small and dense lessons.

Some name one cell of a picture or one row or column of cells, some read a whole picture as thoughts do, and some have
no picture: sums, and first questions about pictures that are told in words. Whole questions teach the same, but far
more slowly: a model that can't tell cells yet learns nothing from where it should have looked (docs/log.md).
"""

import re
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image as Picture

from visreason.prompt import Style
from visreason.prompt.chat import choice_lines
from visreason.record import Completion, Problem, Sample, Score
from visreason.world import pen, problems
from visreason.world.draft import COLUMNS, EMPTY, Cell, Draft, Scene

SIDE = pen.SIZE // pen.CELL
SUM = re.compile(r"(?<![-+*/] )\b(\d+ [-+*/] \d+) = (\d+)\.")
PICTURE = ("What is in each row?", "What shape is in each row?", "What color and shape is in each row?")
"""Asks for the first word of each cell (its colour, or what is written there), the second one, or both."""
LESSONS = ("told", "piece", "told", "picture", "told", "piece", "sum", "picture")


def draw(index: int, style: Style, seed: int = 0) -> tuple[Sample, Picture.Image | None]:
    """Lesson number `index`, and its picture if it has one; lessons take turns. Thoughts are laid out in `style`."""
    rng = Random(f"visreason primer {seed} {index}")
    lesson = LESSONS[index % len(LESSONS)]
    question, answer, canvas = _told(rng, seed, style) if lesson == "told" else DRAWN[lesson](rng, seed)
    meta = {"source": "world", "family": "primer", "form": lesson, "level": 0}
    sample = Sample(
        Problem(f"primer-{index}", question, meta=meta), Completion(answer, model="world"), Score(1.0)
    )
    return sample, None if canvas is None else Picture.fromarray(canvas)


def write(folder: Path, n: int, style: Style, seed: int = 0) -> Path:
    """Write n lessons to folder/primer.jsonl, pictures to folder/images; returns the file's path."""
    return problems.write_drawn(folder, "primer", (draw(i, style, seed) for i in range(n)), n)


Lesson = tuple[str, str, np.ndarray | None]
"""Question, answer, picture."""


def _draft(rng: Random, seed: int, levels: tuple[int, ...] = problems.LEVELS) -> Draft:
    while True:
        index = rng.randrange(1000 * problems.ROUND)
        if problems.place(index)[1] in levels:
            return problems.draft("train", index, seed)


def _sum(rng: Random, seed: int) -> Lesson:
    while not (sums := SUM.findall(_draft(rng, seed).thought)):
        pass
    term, result = rng.choice(sums)
    return f"What is {term}?", f"{term} = {result}.", None


def _told(rng: Random, seed: int, style: Style) -> Lesson:
    """A question of the first level, with words in place of the picture, its thought and its answer."""
    draft = _draft(rng, seed, levels=(1,))
    told = read_scene(draft.scene)
    choices = choice_lines(Problem("", "", choices=draft.choices))
    question = "\n".join(filter(None, (told, draft.question, choices)))
    return question, style.target(draft.thought, draft.answer), None


def _piece(rng: Random, seed: int) -> Lesson:
    """One cell, or a whole row or column, mostly where something is."""
    scene = _draft(rng, seed).scene
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


def _picture(rng: Random, seed: int) -> Lesson:
    """Everything in a picture."""
    scene = _draft(rng, seed).scene
    if scene.tall:
        return "What is in each column?", _columns(scene), scene.paint()
    asked = rng.randrange(3 if max(map(len, scene.cells.values())) > 1 else 1)
    return PICTURE[asked], _rows(scene, (slice(0, 1), slice(-1, None), slice(None))[asked]), scene.paint()


def read_scene(scene: Scene) -> str:
    """Everything in a picture, in words."""
    return _columns(scene) if scene.tall else _rows(scene, slice(None))


def _columns(scene: Scene) -> str:
    """What stands at the foot of each column."""
    return _read(scene, SIDE - 1)


def _rows(scene: Scene, kept: slice) -> str:
    """Some words of every cell, row by row where something is."""
    rows = sorted({row for row, _ in scene.cells})
    return " ".join(f"row {r + 1}: {_read(scene, r, kept)}" for r in rows)


def _read(scene: Scene, row: int, kept: slice = slice(None)) -> str:
    cells = (" ".join((name, *_words(scene, (row, c))[kept])) for c, name in enumerate(COLUMNS))
    return f"{', '.join(cells)}."


def _words(scene: Scene, cell: Cell) -> tuple[str, ...]:
    return scene.cells.get(cell, (EMPTY,))


DRAWN = {"piece": _piece, "picture": _picture, "sum": _sum}
