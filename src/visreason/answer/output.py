"""Calls in the output of a program: Eq(x, 1), Interval(0, 1), Matrix([[1]]), Integral(x, (x, 0, 1))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visreason.answer.tokens import INTERVALS, NotMaths
from visreason.answer.tree import Tree

if TYPE_CHECKING:  # the reader calls what stands here
    from visreason.answer.reader import Reader


def constructor(reader: Reader, name: str, depth: int) -> Tree:
    """The tree of a call by its name. Raises NotMaths for a name or for arguments that are not known."""
    arguments = reader.arguments(depth)
    if name in ("Eq", "Equality", "Ne", "Lt", "Le", "Gt", "Ge") and len(arguments) == 2:
        sign = {"Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}.get(name, "=")
        return ("rel", sign, *arguments)
    if name in ("Union", "Intersection", "Complement") and len(arguments) >= 2:
        sign = {"Union": "cup", "Intersection": "cap", "Complement": "setminus"}[name]
        tree = arguments[0]
        for argument in arguments[1:]:
            tree = (sign, tree, argument)
        return tree
    if name in INTERVALS:
        return ("list", INTERVALS[name], *arguments[:2])
    if name in ("FiniteSet", "set"):
        return ("set", *arguments)
    if name in ("Matrix", "ImmutableMatrix"):
        rows = arguments[0][2:] if arguments and arguments[0][:1] == ("list",) else ()
        return ("matrix", *(("row", *(row[2:] if row[:1] == ("list",) else (row,))) for row in rows))
    if name in ("Integral", "Sum", "Product") and len(arguments) == 2:
        kind = {"Integral": "integral", "Sum": "sum", "Product": "prod"}[name]
        limits = arguments[1][2:] if arguments[1][0] == "list" else (arguments[1],)
        low, high = limits[1:3] if len(limits) == 3 else (None, None)
        return (kind, arguments[0], _variable(limits[:1]), low, high)
    if name == "Limit" and len(arguments) >= 3:
        return ("lim", arguments[0], _variable(arguments[1:2]), arguments[2])
    raise NotMaths


def _variable(trees: tuple[Tree, ...]) -> str:
    """The name of what a program integrates or sums over. Raises NotMaths for anything but a name."""
    if not trees or trees[0][0] not in ("sym", "const"):
        raise NotMaths
    return trees[0][1]
