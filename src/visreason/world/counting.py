"""Counting: coloured shapes in rows of four cells, counted under a condition cell by cell."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import numpy as np

from visreason.world import pen
from visreason.world.draft import COLUMNS, EMPTY, Draft, Forms, Scene, asks_choice, asks_number

GAPS = {1: 0, 2: 2, 3: 3}
"""Empty cells at each level; a level has as many rows as its number."""
PLURALS = {"circle": "circles", "square": "squares", "triangle": "triangles", "cross": "crosses"}
Thing = tuple[str, str]
Grid = list[list[Thing | None]]
Test = Callable[[Thing], bool]


def color(rng: Random, level: int) -> Draft:
    """How many things have a colour, a number."""
    colors, kinds = _palette(rng)
    asked = colors[0]
    return _count(rng, level, kinds, lambda t: t[0] == asked, _color, f"How many {asked} shapes are there?")


def shape(rng: Random, level: int) -> Draft:
    """How many things have a shape, a number."""
    _, kinds = _palette(rng)
    asked = kinds[0][1]
    return _count(rng, level, kinds, lambda t: t[1] == asked, _shape, f"How many {PLURALS[asked]} are there?")


def both(rng: Random, level: int) -> Draft:
    """How many things have a colour and a shape, a number."""
    _, kinds = _palette(rng)
    asked = kinds[0]
    question = f"How many {asked[0]} {PLURALS[asked[1]]} are there?"
    # Only things that share the colour or the shape distract; the others would make the second word idle.
    near = [t for t in kinds if t[0] == asked[0] or t[1] == asked[1]]
    return _count(rng, level, near, lambda t: t == asked, _both, question)


def without(rng: Random, level: int) -> Draft:
    """How many things do not have a colour, a number."""
    colors, kinds = _palette(rng)
    refused = colors[0]
    return _count(rng, level, kinds, lambda t: t[0] != refused, _color, f"How many shapes are not {refused}?")


def either(rng: Random, level: int) -> Draft:
    """How many things have one of two colours, a number."""
    colors, kinds = _palette(rng)
    asked = colors[:2]
    question = f"How many shapes are {asked[0]} or {asked[1]}?"
    return _count(rng, level, kinds, lambda t: t[0] in asked, _color, question)


def most(rng: Random, level: int) -> Draft:
    """The colour that most things have, a choice of colours."""
    colors, kinds = _palette(rng)
    while True:
        grid = _grid(rng, level, [], kinds)
        counts = Counter(t[0] for t in _things(grid))
        first, next_ = sorted((counts[c] for c in colors), reverse=True)[:2]
        if first > next_:
            break
    answer = max(colors, key=counts.__getitem__)
    read, _ = _scan(grid, _color, [partial(_has_color, c) for c in colors])
    thought = f"{read} the most is {answer}."
    return asks_choice(rng, _scene(grid), "Which color do most shapes have?", answer, thought, colors)


def more(rng: Random, level: int) -> Draft:
    """Of which shape there are more things, a choice of two or "same"."""
    _, kinds = _palette(rng)
    one, other = rng.sample(sorted({t[1] for t in kinds}), 2)
    gap = rng.choice((-1, 0, 1)) * rng.randint(1, 2)
    grid = _versus(rng, level, kinds, lambda t: t[1] == one, lambda t: t[1] == other, gap)
    read, (ones, others) = _scan(grid, _shape, [lambda t: t[1] == one, lambda t: t[1] == other])
    one, other = PLURALS[one], PLURALS[other]
    answer = one if ones > others else other if others > ones else "same"
    verdict = f"{one} {ones}, {other} {others}: {answer}."
    question = f"Which are there more of, {one} or {other}?"
    return asks_choice(rng, _scene(grid), question, answer, f"{read} {verdict}", [one, other, "same"])


def how_many_more(rng: Random, level: int) -> Draft:
    """How many more things have one colour than another, a number."""
    colors, kinds = _palette(rng)
    one, other = colors[:2]
    tests: list[Test] = [lambda t: t[0] == one, lambda t: t[0] == other]
    grid = _versus(rng, level, kinds, *tests, gap=rng.randint(1, 4))
    read, (ones, others) = _scan(grid, _color, tests)
    thought = f"{read} {one} {ones}, {other} {others}. {ones} - {others} = {ones - others}."
    question = f"How many more {one} shapes than {other} shapes are there?"
    return asks_number(rng, _scene(grid), question, ones - others, thought, range(1, 5))


FORMS: Forms = {
    1: {"color": color, "shape": shape, "both": both, "most": most},
    2: {"color": color, "both": both, "without": without, "more": more},
    3: {"shape": shape, "both": both, "either": either, "more": more, "how_many_more": how_many_more},
}


def _palette(rng: Random) -> tuple[list[str], list[Thing]]:
    """Three random colours, and the things they make with three shapes; the first has the first colour."""
    colors = rng.sample(tuple(pen.COLORS), 3)
    shapes = rng.sample(pen.SHAPES, 3)
    return colors, [(c, s) for c in colors for s in shapes]


def _count(
    rng: Random, level: int, kinds: Sequence[Thing], test: Test, name: Callable[[Thing], str], question: str
) -> Draft:
    """The count is drawn first, evenly, so that no answer is the usual one."""
    most_there = min(_filled(level), 6)
    count = rng.randint(0, most_there)
    grid = _grid(rng, level, [([t for t in kinds if test(t)], count)], [t for t in kinds if not test(t)])
    read, (found,) = _scan(grid, name, [test])
    thought = f"{read} the count is {found}."
    return asks_number(rng, _scene(grid), question, found, thought, range(most_there + 1))


def _versus(rng: Random, level: int, kinds: Sequence[Thing], one: Test, other: Test, gap: int) -> Grid:
    """A grid with `gap` more things of one sort than of the other (fewer where it is negative)."""
    low = rng.randint(0, (_filled(level) - abs(gap)) // 2)
    counts = (low + max(gap, 0), low + max(-gap, 0))
    groups = [([t for t in kinds if test(t)], n) for test, n in zip((one, other), counts, strict=True)]
    return _grid(rng, level, groups, [t for t in kinds if not one(t) and not other(t)])


def _grid(
    rng: Random, level: int, groups: Sequence[tuple[list[Thing], int]], others: Sequence[Thing]
) -> Grid:
    """Cells in random order: so many things of each group, other things, and the level's empty cells."""
    cells: list[Thing | None] = [rng.choice(kinds) for kinds, count in groups for _ in range(count)]
    cells += [rng.choice(others) for _ in range(_filled(level) - len(cells))]
    cells += [None] * GAPS[level]
    rng.shuffle(cells)
    return [cells[i : i + len(COLUMNS)] for i in range(0, len(cells), len(COLUMNS))]


def _filled(level: int) -> int:
    return len(COLUMNS) * level - GAPS[level]


def _things(grid: Grid) -> list[Thing]:
    return [t for row in grid for t in row if t]


def _scan(grid: Grid, name: Callable[[Thing], str], tests: Sequence[Test]) -> tuple[str, list[int]]:
    """Read the grid row by row; a thing that passes a test is followed by how many have passed it. And the counts."""
    counts = [0] * len(tests)
    text = []
    for r, row in enumerate(grid, 1):
        read = []
        for column, thing in zip(COLUMNS, row, strict=True):
            words = [column, name(thing) if thing else EMPTY]
            for i, test in enumerate(tests):
                if thing and test(thing):
                    counts[i] += 1
                    words.append(str(counts[i]))
            read.append(" ".join(words))
        text.append(f"row {r}: {', '.join(read)}.")
    return " ".join(text), counts


def _has_color(color: str, thing: Thing) -> bool:
    return thing[0] == color


def _color(thing: Thing) -> str:
    return thing[0]


def _shape(thing: Thing) -> str:
    return thing[1]


def _both(thing: Thing) -> str:
    return " ".join(thing)


def _scene(grid: Grid) -> Scene:
    shapes = [[*t, r, c] for r, row in enumerate(grid, 1) for c, t in enumerate(row, 1) if t]
    cells = {(r, c): t for r, row in enumerate(grid) for c, t in enumerate(row) if t}
    return Scene(
        json.dumps({"grid": [len(grid), len(COLUMNS)], "shapes": shapes}), cells, partial(_paint, grid)
    )


def _paint(grid: Grid) -> np.ndarray:
    canvas = pen.blank()
    for r, row in enumerate(grid):
        for c, thing in enumerate(row):
            pen.frame(canvas, r, c)
            if thing:
                pen.shape(canvas, thing[1], r, c, pen.COLORS[thing[0]])
    return canvas
