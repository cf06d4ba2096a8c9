"""Drawing on a 112 x 112 picture in integers only, so that every machine paints the same pixels.

The picture is a grid of 4 x 4 cells of 28 pixels, as much as one visual token of the tiny model sees.
x runs right, y down.
"""

from functools import cache

import numpy as np

from visreason.world.glyphs import HEIGHT, WIDTH, glyph

SIZE, CELL = 112, 28
Color = tuple[int, int, int]
Point = tuple[int, int]
COLORS: dict[str, Color] = {
    "red": (225, 25, 25),
    "green": (20, 160, 50),
    "blue": (30, 70, 230),
    "yellow": (250, 210, 0),
    "purple": (160, 40, 200),
    "black": (0, 0, 0),
}
SHAPES = ("circle", "square", "triangle", "cross")
WHITE, PALE, INK = (255, 255, 255), (215, 215, 215), (0, 0, 0)


def blank() -> np.ndarray:
    """A white picture: uint8, SIZE x SIZE x 3."""
    return np.full((SIZE, SIZE, 3), 255, np.uint8)


def box(canvas: np.ndarray, x: int, y: int, width: int, height: int, color: Color) -> None:
    """A filled rectangle; what lies outside the picture is cut off."""
    canvas[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = color


def frame(canvas: np.ndarray, row: int, column: int) -> None:
    """A thin pale border around a cell."""
    box(canvas, column * CELL, row * CELL, CELL, CELL, PALE)
    box(canvas, column * CELL + 1, row * CELL + 1, CELL - 2, CELL - 2, WHITE)


def label(canvas: np.ndarray, row: int, column: int, text: str, color: Color = INK) -> None:
    """One or two characters in a cell. The last one always stands in the same place, the first left of it."""
    y = row * CELL + (CELL - HEIGHT) // 2
    right = column * CELL + CELL // 2 + 1
    for place, character in enumerate(reversed(text)):
        x = right - place * (WIDTH + 2)
        canvas[y : y + HEIGHT, x : x + WIDTH][glyph(character)] = color


def shape(canvas: np.ndarray, kind: str, row: int, column: int, color: Color) -> None:
    """A filled shape in a cell."""
    y, x = row * CELL, column * CELL
    canvas[y : y + CELL, x : x + CELL][_shape_mask(kind)] = color


def line(canvas: np.ndarray, start: Point, end: Point, color: Color) -> None:
    """A line three pixels wide."""
    canvas[_line_mask(start, end)] = color


@cache
def _shape_mask(kind: str) -> np.ndarray:
    # Twice the distance from the cell's middle, which lies between pixels, keeps everything whole.
    y, x = np.ogrid[:CELL, :CELL]
    dx, dy = np.abs(2 * x + 1 - CELL), 2 * y + 1 - CELL
    if kind == "circle":
        return dx**2 + dy**2 <= 20**2
    if kind == "square":
        return (dx <= 18) & (np.abs(dy) <= 18)
    if kind == "triangle":
        return (np.abs(dy) <= 20) & (2 * dx <= dy + 22)
    arms = (dx <= 6) & (np.abs(dy) <= 20)
    return arms | ((dx <= 20) & (np.abs(dy) <= 6))


@cache
def _line_mask(start: Point, end: Point) -> np.ndarray:
    (x0, y0), (x1, y1) = start, end
    y, x = np.ogrid[:SIZE, :SIZE]
    dx, dy = x1 - x0, y1 - y0
    along = (x - x0) * dx + (y - y0) * dy
    across = (x - x0) * dy - (y - y0) * dx
    length2 = dx * dx + dy * dy
    # |across| / length <= 1.5 pixels, and one pixel past both ends so that corners close.
    reach = max(abs(dx), abs(dy))
    return (4 * across**2 <= 9 * length2) & (along >= -reach) & (along <= length2 + reach)
