"""What a number, a LaTeX command or a name stands for: functions of arguments, roots, matrices, constants, symbols."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from visreason.answer import calculus, output
from visreason.answer.tokens import (
    ACCENTS,
    ALIASES,
    CONSTANT_NAMES,
    FUNCTIONS,
    GREEK,
    INVERTIBLE,
    NUMBERS,
    NotMaths,
)
from visreason.answer.tree import Tree

if TYPE_CHECKING:  # the reader calls what stands here
    from visreason.answer.reader import Reader


MAX_DIGITS, MAX_PLACES = 400, 50


def read_number(reader: Reader, token: str) -> Tree:
    """A number of bounded length; 0.1\\overline{6} repeats its last digits for ever."""
    exponent = re.split("[eE][+-]?", token)[-1] if "e" in token.lower() else ""
    if len(token) > MAX_DIGITS or len(token.partition(".")[2]) > MAX_PLACES or len(exponent) > 3:
        raise NotMaths
    if not ("." in token and reader.accept("\\overline")):
        return ("num", Fraction(token))
    reader.expect("{")
    digits = reader.take()
    reader.expect("}")
    places = len(token.partition(".")[2])
    return ("num", Fraction(token + "0") + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places))


def read_command(reader: Reader, name: str, depth: int) -> Tree:
    if name in ("frac", "dfrac", "tfrac", "cfrac"):
        return ("frac", reader.group(depth), reader.group(depth))
    if name == "sqrt":
        return _root(reader, depth)
    if name in ("binom", "dbinom", "tbinom"):
        return ("call", "binomial", reader.group(depth), reader.group(depth))
    if name in ("int", "iint", "oint"):
        return calculus.integral(reader, depth)
    if name in ("sum", "prod"):
        return calculus.series(reader, name, depth)
    if name == "lim":
        return calculus.limit(reader, depth)
    if name.startswith("begin"):
        return _matrix(reader, name[5:].strip(" {}"), depth)
    if name in ("emptyset", "varnothing"):
        return ("set",)
    if name in ("operatorname", "mathrm", "mathop", "mathbf", "mathit", "rm", "variable"):
        return _named(reader, depth)
    if name in ("angle", "triangle", "vec", "overrightarrow") and (points := _points(reader)):
        return ("sym", f"{ACCENTS.get(name, name)}{{{_ordered(name, points)}}}")
    if name in ACCENTS:
        return _accented(reader, name, depth)
    if name == "mathbb":
        inner = reader.group(depth)
        if inner[0] != "sym":
            raise NotMaths
        return ("sym", NUMBERS.get(inner[1], "mathbb"))
    if name in CONSTANT_NAMES:
        return ("const", CONSTANT_NAMES[name])
    return read_name(reader, name, depth, command=True)


def _points(reader: Reader) -> list[str]:
    """Two or more capitals that follow; none are taken where there is something else."""
    start, braced, found = reader.at, reader.accept("{"), []
    while re.fullmatch("[A-Z]", reader.peek()):
        found.append(reader.take() + reader.subscript())
    if len(found) < 2 or (braced and not reader.accept("}")):
        reader.at = start
        return []
    return found


def _ordered(name: str, points: list[str]) -> str:
    """An angle is the same from either side, a triangle from every corner, a vector has a direction."""
    order = min(points, points[::-1]) if name == "angle" else sorted(points) if name == "triangle" else points
    return "".join(order)


def _accented(reader: Reader, name: str, depth: int) -> Tree:
    inner = reader.group(depth)
    return ("sym", f"{ACCENTS[name]}{{{inner[1]}}}{reader.subscript()}") if inner[0] == "sym" else inner


def read_name(reader: Reader, name: str, depth: int, command: bool = False) -> Tree:
    """A function with its argument, a constant or a symbol with its subscript."""
    if name in ("e", "E") and (name == "e" or reader.python):
        return ("const", "e")
    if (name == "I" and not reader.peek().startswith("_")) or (name == "i" and not reader.python):
        return ("const", "i")
    if reader.python and name in CONSTANT_NAMES:
        return ("const", CONSTANT_NAMES[name])
    if reader.python and name == "EmptySet":
        return ("set",)
    function = ALIASES.get(name, name)
    if (
        (command or reader.python)
        and function.lower() in FUNCTIONS
        and (not reader.python or reader.peek() == "(")
    ):
        return _call(reader, function.lower(), depth)
    if reader.python and name in ACCENTS and reader.peek() == "{":
        return _accented(reader, name, depth)
    if reader.python and reader.peek() == "(":
        return output.constructor(reader, name, depth)
    if command and name not in GREEK and name not in ("partial", "nabla", "angle", "triangle"):
        raise NotMaths
    if name.isupper() and reader.peek().isdigit():  # R1 is R_1
        return ("sym", f"{name}_{reader.take()}")
    return ("sym", name + reader.subscript())


def _named(reader: Reader, depth: int) -> Tree:
    reader.expect("{")
    words = []
    while reader.peek() not in ("}", ""):
        words.append(reader.take().removeprefix("\\"))
    reader.expect("}")
    word = "".join(words)
    if word in FUNCTIONS or word in ALIASES:
        return _call(reader, ALIASES.get(word, word), depth)
    return ("sym", word + reader.subscript())


def _call(reader: Reader, function: str, depth: int) -> Tree:
    """A function's argument: (...), {...}, or the product that follows, as in \\sin 2x; \\sin^2 x is its power."""
    if function == "sqrt" and reader.peek() in ("(", "{"):
        arguments = reader.arguments(depth)
        return ("call", "sqrt", *arguments)
    base = exponent = None
    while reader.peek() == "^" or reader.peek().startswith("_"):
        if reader.accept("^"):
            exponent = reader.group(depth) if reader.peek() != "-" else reader.exponent(depth)
        else:
            base = reader.inner(reader.take()[1:])
    arguments = reader.arguments(depth)
    if function == "log" and base is not None:
        arguments = (*arguments, base)
    if function == "log" and reader.python and len(arguments) == 1:
        function = "ln"
    if function == "lg":
        function, arguments = "log", (*arguments, ("num", Fraction(10)))
    if exponent == ("-", ("num", Fraction(1))) and function in INVERTIBLE:
        return ("call", f"arc{function}", *arguments)
    tree = ("call", function, *arguments)
    return tree if exponent is None else ("^", tree, exponent)


def _root(reader: Reader, depth: int) -> Tree:
    if reader.accept("["):
        index = reader.items(depth)
        reader.expect("]")
        return ("call", "root", reader.group(depth), index)
    return ("call", "sqrt", reader.group(depth))


def _matrix(reader: Reader, kind: str, depth: int) -> Tree:
    if kind == "array" and reader.accept("{"):
        reader.until("}")
    rows: list[Tree] = [("row", *_cells(reader, depth))]
    while reader.accept("\\\\"):
        if not reader.peek().startswith("\\end"):
            rows.append(("row", *_cells(reader, depth)))
    if not reader.take().startswith("\\end"):
        raise NotMaths
    tree = ("matrix", *rows)
    return ("call", "det", tree) if kind == "vmatrix" else tree


def _cells(reader: Reader, depth: int) -> list[Tree]:
    found = [reader.items(depth)]
    while reader.accept("&"):
        found.append(reader.items(depth))
    return found
