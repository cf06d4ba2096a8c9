"""The number a tree stands for, its symbols taking the values they are given.

2^(2^(2^49)) has no value here, and costs nothing: see `arithmetic`.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import reduce

from visreason.answer.arithmetic import (
    NoNumber,
    Number,
    binary,
    counted,
    gcd,
    lcm,
    operate,
    real,
    reals,
    unary,
)
from visreason.answer.tree import Tree

MAX_TERMS = 200
CONSTANT_VALUES: dict[str, Number] = {"pi": math.pi, "e": math.e, "i": 1j, "infty": math.inf}


def number(tree: Tree, values: Mapping[str, Number]) -> Number:
    """The value of a tree. Raises NoNumber.

    >>> number(("/", ("num", Fraction(1)), ("num", Fraction(4))), {})
    Fraction(1, 4)
    """
    try:
        found = _value(tree, values)
    except (ZeroDivisionError, OverflowError, ValueError, TypeError, RecursionError) as e:
        raise NoNumber(str(e)) from e
    return real(found)


def symbols(tree: Tree) -> frozenset[str]:
    """Names of the free symbols in a tree."""
    if tree[0] == "sym":
        return frozenset({tree[1]})
    found = frozenset().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))
    return found - {tree[2]} if tree[0] in ("integral", "sum", "prod", "lim") else found


def _value(tree: Tree, values: Mapping[str, Number]) -> Number:
    kind = tree[0]
    if kind == "num":
        return tree[1]
    if kind == "sym":
        if tree[1] not in values:
            raise NoNumber(tree[1])
        return values[tree[1]]
    if kind == "const":
        return values.get(tree[1], CONSTANT_VALUES[tree[1]])
    if kind == "-":
        return -_value(tree[1], values)
    if kind in ("+", "*", "/", "^"):
        return operate(kind, _value(tree[1], values), _value(tree[2], values))
    if kind == "call":
        return counted(_call(tree[1], tree[2:], values))
    if kind in ("sum", "prod"):
        return _series(tree, values)
    raise NoNumber(kind)


def _call(name: str, arguments: tuple[Tree, ...], values: Mapping[str, Number]) -> Number:
    if name == "det":
        return _determinant(arguments[0], values)
    operands = [_value(a, values) for a in arguments]
    if name in ("max", "min"):
        return (max if name == "max" else min)(reals(operands))
    if name in ("gcd", "lcm"):
        return reduce(gcd, reals(operands)) if name == "gcd" else reduce(lcm, reals(operands))
    if len(operands) == 2:
        return binary(name, *operands)
    if len(operands) != 1:
        raise NoNumber(name)
    return unary(name, operands[0])


def _series(tree: Tree, values: Mapping[str, Number]) -> Number:
    """A sum or product over few whole numbers."""
    kind, body, name, low, high = tree
    if low is None or high is None:
        raise NoNumber(kind)
    if _holds_series(body):
        raise NoNumber("a series within a series")
    start, stop = reals([_value(low, values), _value(high, values)])
    if start != int(start) or stop != int(stop) or stop - start > MAX_TERMS:
        raise NoNumber(kind)
    total: Number = Fraction(0 if kind == "sum" else 1)
    for i in range(int(start), int(stop) + 1):
        term = _value(body, {**values, name: Fraction(i)})
        total = operate("+" if kind == "sum" else "*", total, term)
    return total


def _holds_series(tree: Tree) -> bool:
    return tree[0] in ("sum", "prod") or any(
        _holds_series(part) for part in tree[1:] if isinstance(part, tuple)
    )


def _determinant(tree: Tree, values: Mapping[str, Number]) -> Number:
    if tree[0] != "matrix" or any(len(row) != len(tree) for row in tree[1:]) or len(tree) > 6:
        raise NoNumber("det")
    rows = [[_value(cell, values) for cell in row[1:]] for row in tree[1:]]
    return _laplace(rows)


def _laplace(rows: list[list[Number]]) -> Number:
    if len(rows) == 1:
        return rows[0][0]
    total: Number = Fraction(0)
    for j, head in enumerate(rows[0]):
        minor = _laplace([row[:j] + row[j + 1 :] for row in rows[1:]])
        total = operate("+", total, operate("*", head if j % 2 == 0 else -head, minor))
    return total
