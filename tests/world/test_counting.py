import json
import re
from collections import Counter

import numpy as np
from PIL import Image as Picture

from tests.world.conftest import Drawn
from tests.world.oracle import answer, said
from visreason.record import Problem
from visreason.world.pen import COLORS

Things = list[tuple[str, str]]


def things(problem: Problem) -> Things:
    return [(color, kind) for color, kind, _, _ in json.loads(problem.description or "")["shapes"]]


def of(things: Things, *words: str) -> int:
    """How many things have all the words; a plural counts as its singular."""
    singular = {"circles": "circle", "squares": "square", "triangles": "triangle", "crosses": "cross"}
    return sum({singular.get(w, w) for w in words} <= set(thing) for thing in things)


def usual(things: Things) -> str:
    (color, first), *rest = Counter(color for color, _ in things).most_common()
    assert all(n < first for _, n in rest)
    return color


def greater(things: Things, one: str, other: str) -> str:
    a, b = of(things, one), of(things, other)
    return one if a > b else other if b > a else "same"


RULES = {
    r"How many (\w+) shapes are there\?": of,
    r"How many (\w+) are there\?": of,
    r"How many (?!more)(\w+) (?!shapes)(\w+) are there\?": of,
    r"How many shapes are not (\w+)\?": lambda t, c: len(t) - of(t, c),
    r"How many shapes are (\w+) or (\w+)\?": lambda t, c, d: of(t, c) + of(t, d),
    r"Which color do most shapes have\?": usual,
    r"Which are there more of, (\w+) or (\w+)\?": greater,
    r"How many more (\w+) shapes than (\w+) shapes are there\?": lambda t, c, d: of(t, c) - of(t, d),
}


def kind_of(mask: np.ndarray) -> str:
    """The shape in a cell by a few telling pixels."""
    if mask[5, 5]:
        return "square"
    if mask[22, 5]:
        return "triangle"
    return "circle" if mask[9, 9] else "cross"


def seen(picture: Picture.Image) -> list[list]:
    """Colour, shape, row and column of what the pixels of each cell show."""
    pixels, found = np.asarray(picture), []
    for r in range(4):
        for c in range(4):
            cell = pixels[r * 28 : r * 28 + 28, c * 28 : c * 28 + 28]
            middle = [name for name, rgb in COLORS.items() if tuple(cell[14, 14].tolist()) == rgb]
            found += [[name, kind_of((cell == COLORS[name]).all(-1)), r + 1, c + 1] for name in middle]
    return found


def test_answers_follow_from_the_description(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["counting"]:
        assert said(problem) == answer(problem.question, things(problem), RULES), problem


def test_the_picture_shows_the_described_shapes_in_their_cells(by_family: dict[str, Drawn]) -> None:
    for problem, picture in by_family["counting"]:
        assert seen(picture) == json.loads(problem.description or "")["shapes"]


def rows(problem: Problem) -> dict[int, list[tuple[str, str, str]]]:
    """Of each row of the thought: column, words and count (or none) of every cell."""
    cell = re.compile(r"([a-d]) ([a-z ]+?)(?: (\d+))?(?:, |$)")
    found = re.findall(r"row (\d): ([^.]+)\.", problem.thought or "")
    return {int(row): cell.findall(text) for row, text in found}


def test_the_thought_names_every_cell_of_every_row(by_family: dict[str, Drawn]) -> None:
    for problem, picture in by_family["counting"]:
        cells = {(r, c): (color, kind) for color, kind, r, c in seen(picture)}
        read = rows(problem)
        assert list(read) == list(range(1, problem.meta["level"] + 1))
        for row, named in read.items():
            assert [c for c, _, _ in named] == list("abcd")
            there = [cells.get((row, c), ("empty",)) for c in range(1, 5)]
            ways = [[p[0] for p in there], [p[-1] for p in there], [" ".join(p) for p in there]]
            assert [words for _, words, _ in named] in ways, problem


def test_what_counts_is_followed_by_the_count_so_far(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["counting"]:
        cells = [(words, n) for row in rows(problem).values() for _, words, n in row]
        if problem.meta["form"] in ("most", "more", "how_many_more"):
            for word in {words for words, n in cells if n}:
                numbers = [n for words, n in cells if words == word]
                assert numbers == [str(i + 1) for i in range(len(numbers))], problem
        else:
            numbers = [n for _, n in cells if n]
            assert numbers == [str(i + 1) for i in range(int(problem.answer or "-1"))], problem
