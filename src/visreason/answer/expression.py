"""Whether two expressions are equal: by their values at several points, or by symbolic work where they have none."""

import math
from collections.abc import Sequence
from fractions import Fraction

from visreason.answer import sandbox
from visreason.answer.arithmetic import NoNumber, Number
from visreason.answer.compute import number, symbols
from visreason.answer.tree import Tree

TOLERANCE = 1e-9
MAX_SYMBOLS = 10
BASES = (0.7391, 1.3172, 2.2361, 0.4567, 3.1623, 1.8129, 0.9173, 2.7641, 0.3819, 1.5537)
"""Values for the symbols in turn; positive, so that roots and logarithms have their usual branch."""
SYMBOLIC = ("sum", "prod", "integral", "lim")
"""Operators that only symbolic work may decide."""


def same_expression(gold: Tree, answer: Tree) -> bool:
    """Whether two expressions are equal, with a logarithm without base natural or, if that fails, to base 10."""
    if not (_holds_call(gold, ("log",)) or _holds_call(answer, ("log",))):
        return _same_expression(gold, answer)
    bases: tuple[Tree, ...] = (("const", "e"), ("num", Fraction(10)))
    return any(_same_expression(_with_base(gold, b), _with_base(answer, b)) for b in bases)


def _with_base(tree: Tree, base: Tree) -> Tree:
    found = tuple(_with_base(part, base) if isinstance(part, tuple) else part for part in tree)
    return (*found, base) if found[:2] == ("call", "log") and len(found) == 3 else found


def _same_expression(gold: Tree, answer: Tree) -> bool:
    """Whether two expressions have one value wherever they are tried; symbolic work decides where none can be."""
    names = sorted(symbols(gold) | symbols(answer))
    if len(names) > MAX_SYMBOLS:
        return False
    if any(_holds_call(tree, ("gcd", "lcm")) and symbols(tree) for tree in (gold, answer)):
        return sandbox.same(gold, answer)  # divisors of polynomials are not those of their values
    tried = 0
    for values, may_differ in points(names):
        try:
            x, y = number(gold, values), number(answer, values)
        except NoNumber:
            continue
        if near(x, y):
            tried += 1
        elif not (may_differ and (isinstance(x, complex) or isinstance(y, complex))):
            return False
    return tried >= min(2, len(points(names))) or _decided(gold, answer)


def _decided(gold: Tree, answer: Tree) -> bool:
    return (holds(gold, SYMBOLIC) or holds(answer, SYMBOLIC)) and sandbox.same(gold, answer)


def holds(tree: Tree, kinds: Sequence[str]) -> bool:
    """Whether an operator stands anywhere in a tree."""
    return tree[0] in kinds or any(holds(part, kinds) for part in tree[1:] if isinstance(part, tuple))


def _holds_call(tree: Tree, names: Sequence[str]) -> bool:
    return (tree[0] == "call" and tree[1] in names) or any(
        _holds_call(t, names) for t in tree[1:] if isinstance(t, tuple)
    )


def points(names: list[str]) -> list[tuple[dict[str, Number], bool]]:
    """Values for the symbols, and whether a difference there may be one of branches: with a negative symbol it may."""
    if not names:
        return [({}, False)]
    positive: list[dict[str, Number]] = [
        {
            name: Fraction(BASES[(i + k) % len(BASES)]).limit_denominator(97) + k
            for i, name in enumerate(names)
        }
        for k in range(3)
    ]
    negative: list[dict[str, Number]] = [{**positive[0], name: -positive[1][name]} for name in names[:4]]
    return [(values, False) for values in positive] + [(values, True) for values in negative]


def near(x: Number, y: Number) -> bool:
    """Equal, or by rounding alone apart; nothing else is near infinity.

    >>> near(1.0, 1.0 + 1e-12), near(math.inf, math.inf), near(math.inf, 7.0)
    (True, True, False)
    """
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x == y
    if x == y:
        return True
    try:
        if math.isinf(abs(x)) or math.isinf(abs(y)):
            return False
        return abs(x - y) <= TOLERANCE * max(abs(x), abs(y), 1e-3)
    except OverflowError:
        return False
