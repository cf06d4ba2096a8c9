"""Geometric figures: vertices, lines and labels at fixed places, painted in ink or described in logic forms.

A label names what it measures by its vertices ("AB" a line's length, "B" or "ACD" an angle); its text is a
number or "?". Figures are not to scale, as in school books, except that long rectangles look long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

import numpy as np

from visreason.world import pen
from visreason.world.draft import Cell, Scene

UNKNOWN = "?"
Lines = Mapping[str, tuple[pen.Point, pen.Point]]

TRIANGLE: Lines = {"AB": ((42, 30), (14, 82)), "AC": ((42, 30), (70, 82)), "BC": ((14, 82), (70, 82))}
QUADRILATERAL: Lines = {
    "AB": ((34, 30), (76, 30)),
    "BC": ((76, 30), (84, 82)),
    "CD": ((84, 82), (28, 82)),
    "AD": ((34, 30), (28, 82)),
}
TRIANGLE_SPOTS = {
    "A": (0, 1),
    "B": (3, 0),
    "C": (3, 2),
    "AB": (1, 0),
    "AC": (1, 2),
    "BC": (3, 1),
    "ACD": (2, 3),
}
QUADRILATERAL_SPOTS = {"A": (0, 0), "B": (0, 3), "C": (3, 3), "D": (3, 0)}
RECTANGLE_SPOTS = {"AB": (0, 1), "AD": (1, 0), "EF": (2, 2)}
PAIR_SPOTS = {"AB": (0, 1), "AD": (1, 0), "EF": (0, 3), "EH": (1, 2)}


@dataclass(frozen=True)
class Figure:
    """Shapes in logic forms, lines, cells for labels, labels, and the colours that a question asks for."""

    shapes: tuple[str, ...]
    lines: Lines
    spots: Mapping[str, Cell]
    labels: Mapping[str, int | str]
    colors: Mapping[str, str] = field(default_factory=dict)


def triangle(labels: Mapping[str, int | str]) -> Figure:
    """Triangle A (top), B (left), C (right); a label "ACD" extends the base to D."""
    lines = dict(TRIANGLE)
    shapes = ["Triangle(A,B,C)"]
    if "ACD" in labels:
        lines["CD"] = ((70, 82), (110, 82))
        shapes.append("Collinear(B,C,D)")
    return Figure(tuple(shapes), lines, TRIANGLE_SPOTS, labels)


def quadrilateral(labels: Mapping[str, int | str]) -> Figure:
    """Quadrilateral A, B, C, D clockwise from the upper left."""
    return Figure(("Quadrilateral(A,B,C,D)",), QUADRILATERAL, QUADRILATERAL_SPOTS, labels)


def rectangle(labels: Mapping[str, int | str], hole: bool = False) -> Figure:
    """Rectangle A, B, C, D clockwise from the upper left; with `hole`, square E, F, G, H is cut out of it."""
    if hole:
        lines = _outline("ABCD", 30, 30, 78, 78) | _outline("EFGH", 55, 55, 30, 30)
        return Figure(("Rectangle(A,B,C,D)", "Hole(Square(E,F,G,H))"), lines, RECTANGLE_SPOTS, labels)
    width, height = labels["AB"], labels["AD"]
    tall = isinstance(width, int) and isinstance(height, int) and height > width
    lines = _outline("ABCD", 30, 30, 46, 72) if tall else _outline("ABCD", 30, 30, 72, 46)
    return Figure(("Rectangle(A,B,C,D)",), lines, RECTANGLE_SPOTS, labels)


def two_rectangles(labels: Mapping[str, int | str], colors: tuple[str, str]) -> Figure:
    """Rectangles A, B, C, D (left) and E, F, G, H (right) of two colours, with their widths and heights."""
    lines = _outline("ABCD", 30, 30, 24, 72) | _outline("EFGH", 86, 30, 24, 72)
    shapes = ("Rectangle(A,B,C,D)", "Rectangle(E,F,G,H)")
    return Figure(shapes, lines, PAIR_SPOTS, labels, dict(zip(shapes, colors, strict=True)))


def scene(rng: Random, figure: Figure) -> Scene:
    """The figure to look at; a colour nobody asks for is random and no part of the description."""
    cells = {figure.spots[name]: (str(text),) for name, text in figure.labels.items()}
    return Scene(describe(figure), cells, partial(_paint, figure, rng.choice(tuple(pen.COLORS))))


def describe(figure: Figure) -> str:
    """Logic forms, one a line: shapes, colours, measures, and what is marked "?".

    >>> print(describe(triangle({"A": 50, "B": 60, "C": "?"})))
    Triangle(A,B,C)
    Equals(MeasureOf(Angle(A)),50)
    Equals(MeasureOf(Angle(B)),60)
    Find(MeasureOf(Angle(C)))
    """
    lines = [*figure.shapes, *(f"Color({part},{color})" for part, color in figure.colors.items())]
    lines += [f"Equals({_measure(n)},{text})" for n, text in figure.labels.items() if text != UNKNOWN]
    lines += [f"Find({_measure(n)})" for n, text in figure.labels.items() if text == UNKNOWN]
    return "\n".join(lines)


def _measure(name: str) -> str:
    vertices = ",".join(name)
    return f"LengthOf(Line({vertices}))" if len(name) == 2 else f"MeasureOf(Angle({vertices}))"


def _outline(names: str, x: int, y: int, width: int, height: int) -> dict[str, tuple[pen.Point, pen.Point]]:
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return {names[i] + names[i - 1]: (corners[i], corners[i - 1]) for i in range(4)}


def _paint(figure: Figure, ink: str) -> np.ndarray:
    canvas = pen.blank()
    for name, (start, end) in figure.lines.items():
        pen.line(canvas, start, end, pen.COLORS[_color(figure, name) or ink])
    for name, text in figure.labels.items():
        pen.label(canvas, *figure.spots[name], str(text))
    return canvas


def _color(figure: Figure, line: str) -> str | None:
    """The colour asked for of the shape that a line is a side of."""
    return next((color for shape, color in figure.colors.items() if line[0] in shape), None)
