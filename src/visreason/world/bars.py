"""Bar charts: three or four coloured bars whose heights are read against the gridlines."""

import json
from functools import partial
from random import Random

import numpy as np

from visreason.world import pen
from visreason.world.draft import (
    COLUMNS,
    Draft,
    Forms,
    Scene,
    add_up,
    asks_choice,
    asks_number,
    asks_word,
    take_away,
)

TOP = 8
UNIT = pen.SIZE // TOP
BARS = {1: 3, 2: 4, 3: 4}
HEIGHTS = {1: range(2, TOP + 1, 2), 2: range(1, TOP + 1), 3: range(1, TOP + 1)}
"""At the first level bars end where cells do."""
COLORS = tuple(pen.COLORS)
Chart = dict[str, int]


def value(rng: Random, level: int) -> Draft:
    """The height of one bar, a number."""
    chart = _chart(rng, level)
    color = rng.choice(list(chart))
    thought = f"{_read(chart)} {color} {chart[color]}."
    return asks_number(
        rng, _scene(chart), f"What is the value of the {color} bar?", chart[color], thought, HEIGHTS[level]
    )


def highest(rng: Random, level: int) -> Draft:
    """The highest bar, a colour in words."""
    chart = _distinct_chart(rng, level)
    answer = max(chart, key=chart.__getitem__)
    thought = f"{_read(chart)} the highest is {answer}."
    return asks_word(rng, _scene(chart), "What color is the highest bar?", answer, thought, COLORS)


def lowest(rng: Random, level: int) -> Draft:
    """The lowest bar, a choice of colours."""
    chart = _distinct_chart(rng, level)
    answer = min(chart, key=chart.__getitem__)
    thought = f"{_read(chart)} the lowest is {answer}."
    return asks_choice(rng, _scene(chart), "Which bar is the lowest?", answer, thought, list(chart))


def pair_sum(rng: Random, level: int) -> Draft:
    """Two bars together, a number."""
    chart = _chart(rng, level)
    one, other = rng.sample(list(chart), 2)
    answer = chart[one] + chart[other]
    named = f"{one} {chart[one]}, {other} {chart[other]}."
    thought = f"{_read(chart)} {named} {add_up([chart[one], chart[other]])}"
    question = f"What is the sum of the {one} bar and the {other} bar?"
    span = range(2 * HEIGHTS[level][0], 2 * TOP + 1, HEIGHTS[level].step)
    return asks_number(rng, _scene(chart), question, answer, thought, span)


def pair_gap(rng: Random, level: int) -> Draft:
    """How much one bar is higher than another, a number."""
    chart = _distinct_chart(rng, level)
    less, more = sorted(rng.sample(list(chart), 2), key=chart.__getitem__)
    answer = chart[more] - chart[less]
    named = f"{more} {chart[more]}, {less} {chart[less]}."
    thought = f"{_read(chart)} {named} {take_away(chart[more], [chart[less]])}"
    question = f"How much higher is the {more} bar than the {less} bar?"
    return asks_number(rng, _scene(chart), question, answer, thought, range(1, TOP))


def above(rng: Random, level: int) -> Draft:
    """How many bars are higher than a limit, a number."""
    limit, count = rng.randint(2, TOP - 2), rng.randint(0, BARS[level])
    values = [rng.randint(limit + 1, TOP) if i < count else rng.randint(1, limit) for i in range(BARS[level])]
    rng.shuffle(values)
    chart = dict(zip(rng.sample(COLORS, BARS[level]), values, strict=True))
    names = " ".join(color for color in chart if chart[color] > limit) or "none"
    thought = f"{_read(chart)} higher than {limit}: {names}. the count is {count}."
    question = f"How many bars are higher than {limit}?"
    return asks_number(rng, _scene(chart), question, count, thought, range(BARS[level] + 1))


def second(rng: Random, level: int) -> Draft:
    """The second highest bar, a choice of colours."""
    chart = _distinct_chart(rng, level)
    top, answer = sorted(chart, key=chart.__getitem__, reverse=True)[:2]
    thought = f"{_read(chart)} the highest is {top}. the second is {answer}."
    return asks_choice(rng, _scene(chart), "Which bar is the second highest?", answer, thought, list(chart))


def spread(rng: Random, level: int) -> Draft:
    """How much the highest bar is above the lowest, a number."""
    chart = _distinct_chart(rng, level)
    high, low = max(chart.values()), min(chart.values())
    thought = f"{_read(chart)} the highest is {high}. the lowest is {low}. {high} - {low} = {high - low}."
    question = "How much higher is the highest bar than the lowest bar?"
    return asks_number(rng, _scene(chart), question, high - low, thought, range(3, TOP))


def total(rng: Random, level: int) -> Draft:
    """All bars together, a number."""
    chart = _chart(rng, level)
    values = list(chart.values())
    thought = f"{_read(chart)} {add_up(values)}"
    return asks_number(
        rng,
        _scene(chart),
        "What is the sum of all bars?",
        sum(values),
        thought,
        range(8, len(values) * TOP - 3),
    )


def total_without(rng: Random, level: int) -> Draft:
    """All bars but one together, a number."""
    chart = _chart(rng, level)
    left_out = rng.choice(list(chart))
    values = [chart[color] for color in chart if color != left_out]
    thought = f"{_read(chart)} {add_up(values)}"
    question = f"What is the sum of all bars without the {left_out} bar?"
    return asks_number(rng, _scene(chart), question, sum(values), thought, range(5, len(values) * TOP - 1))


FORMS: Forms = {
    1: {"value": value, "highest": highest, "lowest": lowest, "pair_sum": pair_sum},
    2: {"pair_sum": pair_sum, "pair_gap": pair_gap, "above": above, "lowest": lowest},
    3: {"total": total, "spread": spread, "second": second, "total_without": total_without},
}


def read(picture: np.ndarray) -> Chart:
    """The chart in a painted picture, from its pixels: the colour of each bar, and how many blocks are stacked in it.

    >>> read(_paint({"red": 4, "blue": 7}))
    {'red': 4, 'blue': 7}
    """
    names = {color: name for name, color in pen.COLORS.items()}
    chart = {}
    for x in range(pen.CELL // 2, pen.SIZE, pen.CELL):
        stack = [names.get(tuple(picture[y, x].tolist())) for y in range(UNIT // 2, pen.SIZE, UNIT)]
        blocks = [name for name in stack if name]
        chart |= {blocks[-1]: len(blocks)} if blocks else {}
    return chart


def _chart(rng: Random, level: int) -> Chart:
    return {color: rng.choice(HEIGHTS[level]) for color in rng.sample(COLORS, BARS[level])}


def _distinct_chart(rng: Random, level: int) -> Chart:
    colors = rng.sample(COLORS, BARS[level])
    return dict(zip(colors, rng.sample(HEIGHTS[level], len(colors)), strict=True))


def _read(chart: Chart) -> str:
    bars = zip(COLUMNS, chart.items(), strict=False)
    return ", ".join(f"{column} {color} {height}" for column, (color, height) in bars) + "."


def _scene(chart: Chart) -> Scene:
    cells = {
        (row, column): (color, str(height))
        for column, (color, height) in enumerate(chart.items())
        for row in range(4)
        if height * UNIT > pen.SIZE - (row + 1) * pen.CELL
    }
    return Scene(json.dumps({"chart": "bar", "values": chart}), cells, partial(_paint, chart), tall=True)


def _paint(chart: Chart) -> np.ndarray:
    canvas = pen.blank()
    for step in range(TOP):
        pen.box(canvas, 0, step * UNIT, pen.SIZE, 1, pen.PALE)
    for column, (color, height) in enumerate(chart.items()):
        for step in range(height):
            # The gridline above each unit stays free, so that a bar is a stack of countable blocks.
            y = pen.SIZE - (step + 1) * UNIT + 1
            pen.box(canvas, column * pen.CELL + 4, y, pen.CELL - 8, UNIT - 1, pen.COLORS[color])
    return canvas
