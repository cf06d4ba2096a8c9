"""The primer: what a model from nothing needs before it can answer anything, in small and dense lessons.

Two of five name one cell of a picture or one row or column of cells, two name all sixteen cells in reading order, and
one is a sum. Whole questions teach the same, but far more slowly: a model that can't tell cells yet
learns nothing from where it should have looked (docs/log.md).
"""

import re
from pathlib import Path
from random import Random

from PIL import Image as Picture

from visreason.record import Problem
from visreason.world import pen, problems
from visreason.world.draft import Cell, Draft, Scene

SIDE = pen.SIZE // pen.CELL
EMPTY = "empty"
SUM = re.compile(r"(?<![-+*/] )\b(\d+ [-+*/] \d+) = (\d+)\.")
QUESTIONS = ("What is in each cell?", "What shape or size is in each cell?")
"""The first word of each cell (its colour, or what is written there), or its second one."""
LESSONS = ("piece", "picture", "piece", "picture", "sum")


def draw(index: int, seed: int = 0) -> tuple[Problem, Picture.Image | None]:
    """Lesson number `index`, and its picture if it has one; lessons take turns."""
    rng = Random(f"visreason primer {seed} {index}")
    lesson = LESSONS[index % len(LESSONS)]
    draft = _any_draft(rng, seed)
    if lesson == "sum":
        while not (sums := SUM.findall(draft.thought)):
            draft = _any_draft(rng, seed)
        term, result = rng.choice(sums)
        return _problem(index, lesson, f"What is {term}?", f"{term} = {result}."), None
    canvas = draft.scene.paint()
    if lesson == "piece":
        rows, columns = _piece(rng, draft.scene)
        names = [" ".join(_words(draft.scene, (r, c))) for r in rows for c in columns]
        if draft.scene.tall:
            names = list(dict.fromkeys(n for n in names if n != EMPTY)) or [EMPTY]
        top, left = rows[0] * pen.CELL, columns[0] * pen.CELL
        canvas = canvas[top : top + len(rows) * pen.CELL, left : left + len(columns) * pen.CELL]
        question, answer = "What is here?", ", ".join(names)
    else:
        word = rng.randrange(max(len(words) for words in draft.scene.cells.values()))
        names = [_words(draft.scene, (r, c)) for r in range(SIDE) for c in range(SIDE)]
        question, answer = QUESTIONS[word], " ".join(n[min(word, len(n) - 1)] for n in names)
    return _problem(index, lesson, question, answer), Picture.fromarray(canvas)


def write(folder: Path, n: int, seed: int = 0) -> Path:
    """Write n lessons to folder/primer.jsonl, pictures to folder/images; returns the file's path."""
    return problems.write_drawn(folder, "primer", (draw(i, seed) for i in range(n)), n)


def _any_draft(rng: Random, seed: int) -> Draft:
    return problems.draft("train", rng.randrange(1000 * problems.ROUND), seed)


def _piece(rng: Random, scene: Scene) -> tuple[range, range]:
    """The rows and columns of one cell, or of a whole row or column, mostly where something is."""
    row, column = rng.choice(sorted(scene.cells))
    if rng.random() < 0.1:
        row, column = rng.randrange(SIDE), rng.randrange(SIDE)
    rows, columns = range(row, row + 1), range(column, column + 1)
    pieces = ((range(SIDE), columns), (rows, columns), (rows, range(SIDE)))
    return pieces[0] if scene.tall else rng.choice(pieces)


def _words(scene: Scene, cell: Cell) -> tuple[str, ...]:
    return scene.cells.get(cell, (EMPTY,))


def _problem(index: int, lesson: str, question: str, answer: str) -> Problem:
    return Problem(
        id=f"primer-{index}", question=question, answer=answer, check="exact",
        meta={"source": "world", "family": "primer", "form": lesson, "level": 0},
    )  # fmt: skip
