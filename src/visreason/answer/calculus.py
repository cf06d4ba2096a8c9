"""Integrals, sums, products and limits as `reader` meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visreason.answer.tokens import BRACKETS, TIMES, NotMaths
from visreason.answer.tree import Tree, ungrouped

if TYPE_CHECKING:  # the reader calls what stands here
    from visreason.answer.reader import Reader


def integral(reader: Reader, depth: int) -> Tree:
    low, high = _bounds(reader, depth)
    marks = (i for i in range(reader.at, len(reader.tokens) - 1) if _is_differential(reader, i))
    at = next(marks, None)
    if at is None:
        raise NotMaths
    variable = reader.tokens[at + 1].removeprefix("\\")
    before = reader.tokens[reader.at : at]
    nested = sum(token in BRACKETS for token in before) > sum(token in BRACKETS.values() for token in before)
    while before and before[-1] in TIMES:
        before.pop()
    if nested:  # \frac{3 dx}{x}: the differential stands in a numerator
        rest = reader.tokens[at + 2 :]
        reader.tokens = [
            *reader.tokens[: reader.at],
            *before,
            *(["1"] if before[-1] in BRACKETS else []),
            *rest,
        ]
        return ("integral", ungrouped(reader.product(depth)), variable, low, high)
    tree = reader.apart(before or ["1"], depth)
    reader.at = at + 2
    return ("integral", tree, variable, low, high)


def series(reader: Reader, name: str, depth: int) -> Tree:
    low, high = _bounds(reader, depth)
    if low is None or low[:2] != ("rel", "=") or low[2][0] not in ("sym", "const"):
        raise NotMaths
    return (name, reader.product(depth), low[2][1], low[3], high)


def limit(reader: Reader, depth: int) -> Tree:
    low, _ = _bounds(reader, depth)
    if low is None or low[:2] != ("rel", "->") or low[2][0] not in ("sym", "const"):
        raise NotMaths
    return ("lim", reader.product(depth), low[2][1], low[3])


def _bounds(reader: Reader, depth: int) -> tuple[Tree | None, Tree | None]:
    low = high = None
    while reader.peek() == "^" or reader.peek().startswith("_"):
        if reader.accept("^"):
            empty = reader.tokens[reader.at : reader.at + 2] == ["{", "}"]
            reader.at += 2 if empty else 0
            high = (
                None
                if empty
                else reader.group(depth)
                if reader.peek() == "{"
                else reader.inner(reader.take())
            )
        elif text := reader.take()[1:].strip():
            low = reader.inner(text)
    return low, high


def _is_differential(reader: Reader, i: int) -> bool:
    return reader.tokens[i] == "d" and reader.tokens[i + 1].removeprefix("\\").isalpha()
