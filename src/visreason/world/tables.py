"""Tables of digits: columns J K L, rows X Y Z, one digit a cell. At level 3 the headers come in any order."""

from dataclasses import dataclass, replace
from functools import partial
from random import Random

import numpy as np

from visreason.world import pen
from visreason.world.draft import Draft, Forms, Scene, add_up, asks_choice, asks_number

COLUMNS, ROWS = "JKL", "XYZ"
SIDE = {1: 2, 2: 3, 3: 3}
TOP = 9
DIGITS = range(1, TOP + 1)


@dataclass(frozen=True)
class Table:
    """Names of columns and rows as they stand, and the digit of each (row, column)."""

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: dict[tuple[str, str], int]

    def row(self, row: str) -> list[int]:
        """The digits of a row, from left to right."""
        return [self.cells[row, c] for c in self.columns]

    def column(self, column: str) -> list[int]:
        """The digits of a column, from the top."""
        return [self.cells[r, column] for r in self.rows]


def lookup(rng: Random, level: int) -> Draft:
    """The number in a cell, a number."""
    table = _table(rng, level)
    row, column = rng.choice(table.rows), rng.choice(table.columns)
    answer = table.cells[row, column]
    thought = f"row {row}: {column} {answer}."
    return asks_number(
        rng, _scene(table), f"What is in row {row} and column {column}?", answer, thought, DIGITS
    )


def row_sum(rng: Random, level: int) -> Draft:
    """The sum of a row, a number."""
    table = _table(rng, level)
    row = rng.choice(table.rows)
    values = table.row(row)
    thought = f"{_read_row(table, row)} {add_up(values)}"
    span = range(2 * len(values), 8 * len(values))
    return asks_number(rng, _scene(table), f"What is the sum of row {row}?", sum(values), thought, span)


def column_sum(rng: Random, level: int) -> Draft:
    """The sum of a column, a number."""
    table = _table(rng, level)
    column = rng.choice(table.columns)
    values = table.column(column)
    thought = f"{_read_column(table, column)} {add_up(values)}"
    span = range(2 * len(values), 8 * len(values))
    return asks_number(rng, _scene(table), f"What is the sum of column {column}?", sum(values), thought, span)


def largest(rng: Random, level: int) -> Draft:
    """The largest digit is drawn first: the largest of several even draws would nearly always be 8 or 9."""
    table = _table(rng, level, top=rng.randint(2, TOP))
    answer = max(table.cells.values())
    read = " ".join(_read_row(table, row) for row in table.rows)
    thought = f"{read} the largest is {answer}."
    return asks_number(rng, _scene(table), "What is the largest number?", answer, thought, DIGITS)


def column_largest(rng: Random, level: int) -> Draft:
    """The largest number of a column, a number."""
    table = _table(rng, level, top=rng.randint(2, TOP))
    column = rng.choice(table.columns)
    answer = max(table.column(column))
    thought = f"{_read_column(table, column)} the largest is {answer}."
    question = f"What is the largest number in column {column}?"
    return asks_number(rng, _scene(table), question, answer, thought, DIGITS)


def row_gap(rng: Random, level: int) -> Draft:
    """How much one cell of a row is above another, a number."""
    table = _table(rng, level)
    row = rng.choice(table.rows)
    less, more = sorted(rng.sample(table.columns, 2), key=lambda c: table.cells[row, c])
    high, low = table.cells[row, more], table.cells[row, less]
    thought = f"{_read_row(table, row)} {high} - {low} = {high - low}."
    question = f"In row {row}, how much more is {more} than {less}?"
    return asks_number(rng, _scene(table), question, high - low, thought, range(TOP))


def row_best(rng: Random, level: int) -> Draft:
    """The largest cell of a row, a choice of columns."""
    table = _table(rng, level)
    row = rng.choice(table.rows)
    unlike = dict(zip(table.columns, rng.sample(DIGITS, len(table.columns)), strict=True))
    table = replace(table, cells=table.cells | {(row, c): v for c, v in unlike.items()})
    answer = max(unlike, key=unlike.__getitem__)
    thought = f"{_read_row(table, row)} the largest is {answer}."
    question = f"Which column is the largest in row {row}?"
    return asks_choice(rng, _scene(table), question, answer, thought, table.columns)


def cell_sum(rng: Random, level: int) -> Draft:
    """Two cells of different rows and columns together, a number."""
    table = _table(rng, level)
    (r1, r2), (c1, c2) = rng.sample(table.rows, 2), rng.sample(table.columns, 2)
    one, other = table.cells[r1, c1], table.cells[r2, c2]
    thought = f"{_read_row(table, r1)} {_read_row(table, r2)} {add_up([one, other])}"
    question = f"What is row {r1} column {c1} plus row {r2} column {c2}?"
    return asks_number(rng, _scene(table), question, one + other, thought, range(2, 2 * TOP + 1))


def rows_gap(rng: Random, level: int) -> Draft:
    """How much one row's sum is above another's, a number."""
    table = _table(rng, level)
    less, more = sorted(rng.sample(table.rows, 2), key=lambda r: sum(table.row(r)))
    high, low = sum(table.row(more)), sum(table.row(less))
    work = " ".join(f"{_read_row(table, r)} {add_up(table.row(r))}" for r in (more, less))
    question = f"How much more is the sum of row {more} than row {less}?"
    return asks_number(
        rng, _scene(table), question, high - low, f"{work} {high} - {low} = {high - low}.", range(13)
    )


def best_row(rng: Random, level: int) -> Draft:
    """The row with the largest sum, a choice of rows."""
    while True:
        table = _table(rng, level)
        sums = {row: sum(table.row(row)) for row in table.rows}
        if len(set(sums.values())) == len(sums):
            break
    answer = max(sums, key=sums.__getitem__)
    work = " ".join(f"{row}: {' + '.join(map(str, table.row(row)))} = {sums[row]}." for row in table.rows)
    thought = f"{work} the largest is {answer}."
    return asks_choice(rng, _scene(table), "Which row has the largest sum?", answer, thought, table.rows)


FORMS: Forms = {
    1: {"lookup": lookup, "row_sum": row_sum, "column_sum": column_sum, "largest": largest},
    2: {"lookup": lookup, "column_largest": column_largest, "row_gap": row_gap, "row_best": row_best},
    3: {"row_sum": row_sum, "cell_sum": cell_sum, "rows_gap": rows_gap, "best_row": best_row},
}


def _table(rng: Random, level: int, top: int | None = None) -> Table:
    """A table of the level. Where `top` is given, it is the largest digit of every column."""
    side = SIDE[level]
    columns, rows = COLUMNS[:side], ROWS[:side]
    if level == 3:
        columns, rows = rng.sample(columns, side), rng.sample(rows, side)
    cells = {(r, c): rng.randint(1, top or TOP) for r in rows for c in columns}
    if top:
        cells.update({(rng.choice(rows), c): top for c in columns})
    return Table(tuple(columns), tuple(rows), cells)


def _read_row(table: Table, row: str) -> str:
    return f"row {row}: " + ", ".join(f"{c} {table.cells[row, c]}" for c in table.columns) + "."


def _read_column(table: Table, column: str) -> str:
    return f"column {column}: " + ", ".join(f"{r} {table.cells[r, column]}" for r in table.rows) + "."


def _scene(table: Table) -> Scene:
    lines = ["," + ",".join(table.columns)]
    lines += [",".join([row, *map(str, table.row(row))]) for row in table.rows]
    written = {(r, c): text for r, line in enumerate(lines) for c, text in enumerate(line.split(",")) if text}
    return Scene("\n".join(lines), {cell: (text,) for cell, text in written.items()}, partial(_paint, table))


def _paint(table: Table) -> np.ndarray:
    canvas = pen.blank()
    heading = pen.COLORS["blue"]
    for c, column in enumerate(table.columns, 1):
        pen.label(canvas, 0, c, column, heading)
    for r, row in enumerate(table.rows, 1):
        pen.label(canvas, r, 0, row, heading)
        for c, column in enumerate(table.columns, 1):
            pen.frame(canvas, r, c)
            pen.label(canvas, r, c, str(table.cells[row, column]))
    return canvas
