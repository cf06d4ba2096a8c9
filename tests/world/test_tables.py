import csv
import re

import numpy as np
from PIL import Image as Picture

from tests.world.conftest import Drawn
from tests.world.oracle import answer, said
from visreason.record import Problem
from visreason.world.glyphs import HEIGHT, ROWS, WIDTH, glyph

Grid = dict[str, dict[str, int]]


def grid(problem: Problem) -> Grid:
    rows = csv.DictReader((problem.description or "").splitlines())
    return {row.pop(""): {column: int(v) for column, v in row.items()} for row in rows}


def column(g: Grid, name: str) -> list[int]:
    return [cells[name] for cells in g.values()]


def total(g: Grid, row: str) -> int:
    return sum(g[row].values())


def only_best(scores: dict[str, int]) -> str:
    (best, first), (_, next_), *_ = sorted(scores.items(), key=lambda item: -item[1])
    assert first > next_
    return best


RULES = {
    r"What is in row (\w) and column (\w)\?": lambda g, r, c: g[r][c],
    r"What is the sum of row (\w)\?": total,
    r"What is the sum of column (\w)\?": lambda g, c: sum(column(g, c)),
    r"What is the largest number\?": lambda g: max(v for cells in g.values() for v in cells.values()),
    r"What is the largest number in column (\w)\?": lambda g, c: max(column(g, c)),
    r"In row (\w), how much more is (\w) than (\w)\?": lambda g, r, c, d: g[r][c] - g[r][d],
    r"Which column is the largest in row (\w)\?": lambda g, r: only_best(g[r]),
    r"What is row (\w) column (\w) plus row (\w) column (\w)\?": lambda g, r, c, s, d: g[r][c] + g[s][d],
    r"How much more is the sum of row (\w) than row (\w)\?": lambda g, r, s: total(g, r) - total(g, s),
    r"Which row has the largest sum\?": lambda g: only_best({row: total(g, row) for row in g}),
}


def character(picture: Picture.Image, row: int, column: int) -> str:
    """The character whose glyph is exactly what a cell of the picture shows; "" for a blank cell."""
    cell = np.asarray(picture)[row * 28 + 2 : row * 28 + 26, column * 28 + 2 : column * 28 + 26]
    ink = cell.min(-1) < 128
    if not ink.any():
        return ""
    for name in ROWS:
        if ink.sum() == glyph(name).sum():
            places = ((y, x) for y in range(25 - HEIGHT) for x in range(25 - WIDTH))
            if any(np.array_equal(ink[y : y + HEIGHT, x : x + WIDTH], glyph(name)) for y, x in places):
                return name
    raise AssertionError(f"no character at row {row}, column {column}")


def test_answers_follow_from_the_description(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["tables"]:
        assert said(problem) == answer(problem.question, grid(problem), RULES), problem


def test_the_picture_shows_the_described_table(by_family: dict[str, Drawn]) -> None:
    for problem, picture in by_family["tables"][:300]:
        lines = [line.split(",") for line in (problem.description or "").splitlines()]
        assert [[character(picture, r, c) for c in range(len(lines))] for r in range(len(lines))] == lines


def test_the_thought_reads_rows_and_columns_as_they_stand(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["tables"]:
        g, thought = grid(problem), problem.thought or ""
        readings = re.findall(r"(row|column) (\w): ((?:\w \d,? ?)+)", thought)
        assert readings or problem.meta["form"] == "best_row"
        for axis, name, entries in readings:
            there = g[name] if axis == "row" else {row: cells[name] for row, cells in g.items()}
            if problem.meta["form"] == "lookup":
                there = {k: v for k, v in there.items() if f"column {k}" in problem.question}
            assert entries == ", ".join(f"{k} {v}" for k, v in there.items()), problem


def test_level_three_shuffles_the_headers_and_lower_levels_do_not(by_family: dict[str, Drawn]) -> None:
    orders = {1: set(), 2: set(), 3: set()}
    for problem, _ in by_family["tables"]:
        orders[problem.meta["level"]].add(tuple(grid(problem)))
    assert [len(orders[level]) for level in (1, 2, 3)] == [1, 1, 6]
