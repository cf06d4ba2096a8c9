"""A teacher that sees nothing, as a script engine: `script:visreason.world.teacher:think`.

It works out first-level questions of the world from descriptions in formal language, in thoughts as the world writes
them. It believes what it is told; of what it can't work out it says so, and rules drop that.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping

from visreason.prompt.layouts import write_tags
from visreason.world.draft import COLUMNS, EMPTY, add_up

MARKED = r"<{0}>\n(.*?)\n</{0}>"
LOST = (KeyError, IndexError, ValueError)
"""What a description with holes in it comes to."""
Found = tuple[str, str]
"""A thought and its answer."""


def think(conversation: list[dict], i: int) -> str:
    """A reply to `distill_description.user.md`: thought and answer in tags, or that it can't tell."""
    said = conversation[-1]["content"][-1]["text"]
    question, content = (re.findall(MARKED.format(m), said, re.DOTALL)[-1] for m in ("question", "content"))
    for pattern, work in FORMS.items():
        if asked := re.match(pattern, question):
            try:
                thought, answer = work(content, *asked.groups())
                options = {
                    text: letter for letter, text in re.findall(r"^\((\w)\) (.+)$", question, re.MULTILINE)
                }
                letter = options[answer] if options else ""
            except LOST:
                break
            return (
                write_tags(f"{thought} {answer} is {letter}.", letter)
                if letter
                else write_tags(thought, answer)
            )
    return "I can't tell."


def _rows(content: str) -> list[list[str]]:
    """The rows of the table in a description."""
    return list(csv.reader(re.findall(r"```csv\n(.*?)\n```", content, re.DOTALL)[0].splitlines()))


# Bars


def _chart(content: str) -> tuple[str, dict[str, int]]:
    chart = {color: int(value) for color, value in _rows(content)[1:]}
    bars = zip(COLUMNS, chart.items(), strict=False)
    return ", ".join(f"{column} {color} {value}" for column, (color, value) in bars) + ".", chart


def _value(content: str, color: str) -> Found:
    read, chart = _chart(content)
    return f"{read} {color} {chart[color]}.", str(chart[color])


def _highest(content: str) -> Found:
    read, chart = _chart(content)
    best = max(chart, key=chart.__getitem__)
    return f"{read} the highest is {best}.", best


def _lowest(content: str) -> Found:
    read, chart = _chart(content)
    least = min(chart, key=chart.__getitem__)
    return f"{read} the lowest is {least}.", least


def _pair_sum(content: str, one: str, other: str) -> Found:
    read, chart = _chart(content)
    values = [chart[one], chart[other]]
    return f"{read} {one} {values[0]}, {other} {values[1]}. {add_up(values)}", str(sum(values))


# Tables


def _table(content: str) -> dict[str, dict[str, int]]:
    """Digits by row and column, from the words: a describer reads those from the picture, and copies its code."""
    read = [[cell.split()[-1] for cell in row.split(", ")] for row in re.findall(r"row \d: (.*?)\.", content)]
    columns = [name for name in read[0][1:] if name != EMPTY]
    return {row[0]: dict(zip(columns, map(int, row[1:]), strict=False)) for row in read[1:]}


def _line(kind: str, name: str, cells: Mapping[str, int]) -> str:
    return f"{kind} {name}: " + ", ".join(f"{c} {v}" for c, v in cells.items()) + "."


def _lookup(content: str, row: str, column: str) -> Found:
    digit = _table(content)[row][column]
    return f"row {row}: {column} {digit}.", str(digit)


def _row_sum(content: str, row: str) -> Found:
    cells = _table(content)[row]
    return f"{_line('row', row, cells)} {add_up(list(cells.values()))}", str(sum(cells.values()))


def _column_sum(content: str, column: str) -> Found:
    cells = {row: cells[column] for row, cells in _table(content).items()}
    return f"{_line('column', column, cells)} {add_up(list(cells.values()))}", str(sum(cells.values()))


def _largest(content: str) -> Found:
    table = _table(content)
    best = max(v for cells in table.values() for v in cells.values())
    read = " ".join(_line("row", row, cells) for row, cells in table.items())
    return f"{read} the largest is {best}.", str(best)


# Counting


def _things(content: str) -> list[list[str]]:
    """The words of each cell of the first row, without its column's name."""
    return [cell.split()[1:] for cell in re.findall(r"row 1: (.*?)\.", content)[0].split(", ")]


def _scan(content: str, kept: slice, passes: Callable[[list[str]], bool]) -> Found:
    """Cells in turn; one that passes is followed by how many have."""
    total, read = 0, []
    for column, words in zip(COLUMNS, _things(content), strict=True):
        shown = [EMPTY] if words == [EMPTY] else words[kept]
        total += passes(words)
        read.append(" ".join([column, *shown, *([str(total)] if passes(words) else [])]))
    return f"row 1: {', '.join(read)}. the count is {total}.", str(total)


def _by_color(content: str, color: str) -> Found:
    return _scan(content, slice(0, 1), lambda words: words[0] == color)


def _by_shape(content: str, shape: str) -> Found:
    return _scan(content, slice(1, 2), lambda words: words[-1] == shape)


def _by_both(content: str, color: str, shape: str) -> Found:
    return _scan(content, slice(0, 2), lambda words: words == [color, shape])


def _most(content: str) -> Found:
    counts: Counter[str] = Counter()
    read = []
    for column, (color, *_) in zip(COLUMNS, _things(content), strict=True):
        counts[color] += 1
        read.append(f"{column} {color} {counts[color]}")
    best = counts.most_common(1)[0][0]
    return f"row 1: {', '.join(read)}. the most is {best}.", best


# Geometry

WORDS = {"A": "top", "B": "left", "AB": "left", "AC": "right", "BC": "base"}


def _measures(content: str) -> dict[str, int]:
    """Angles and lengths by their vertices."""
    found = re.findall(r"Equals\((?:MeasureOf\(Angle|LengthOf\(Line)\(([A-Z,]+)\)\),(\d+)\)", content)
    return {names.replace(",", ""): int(size) for names, size in found}


def _side_sum(content: str) -> Found:
    measures = _measures(content)
    top, left = measures["AB"], measures["AD"]
    return f"top {top}, left {left}. {add_up([top, left])}", str(top + left)


def _exterior_angle(content: str) -> Found:
    measures = _measures(content)
    values = [measures["A"], measures["B"]]
    return f"top {values[0]}, left {values[1]}. {add_up(values)}", str(sum(values))


def _sides(content: str) -> tuple[str, dict[str, int]]:
    sides = {WORDS[name]: size for name, size in _measures(content).items()}
    return ", ".join(f"{name} {size}" for name, size in sides.items()) + ".", sides


def _longest_length(content: str) -> Found:
    read, sides = _sides(content)
    return f"{read} the longest is {max(sides.values())}.", str(max(sides.values()))


def _longest_side(content: str) -> Found:
    read, sides = _sides(content)
    best = max(sides, key=sides.__getitem__)
    return f"{read} the longest is {best}.", best


SHAPE = r"(circle|square|triangle|cross)e?s"
FORMS: dict[str, Callable[..., Found]] = {
    r"What is the value of the (\w+) bar\?": _value,
    r"What color is the highest bar\?": _highest,
    r"Which bar is the lowest\?": _lowest,
    r"What is the sum of the (\w+) bar and the (\w+) bar\?": _pair_sum,
    r"What is in row (\w) and column (\w)\?": _lookup,
    r"What is the sum of row (\w)\?": _row_sum,
    r"What is the sum of column (\w)\?": _column_sum,
    r"What is the largest number\?": _largest,
    r"How many (\w+) shapes are there\?": _by_color,
    rf"How many {SHAPE} are there\?": _by_shape,
    rf"How many (\w+) {SHAPE} are there\?": _by_both,
    r"Which color do most shapes have\?": _most,
    r"How long are the top side and the left side together\?": _side_sum,
    r"How many degrees is the marked angle\?": _exterior_angle,
    r"How long is the longest side\?": _longest_length,
    r"Which side is the longest\?": _longest_side,
}
"""How each form of question is worked out: (description, words of the question) to thought and answer."""
