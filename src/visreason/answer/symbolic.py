"""What the child processes of `sandbox` do: trees as sympy objects, and whether two of them are equal.

Imported in the child alone. Objects are built from trees, never from text.
"""

from functools import reduce
from typing import Any

import sympy

from visreason.answer.tree import Tree

SYMPY_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infty": sympy.oo}
SAME_NAME = (
    "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch", "log", "exp", "sqrt",
    "binomial", "factorial", "sign",
)  # fmt: skip
FUNCTIONS: dict[str, Any] = {
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "arccot": sympy.acot, "arcsec": sympy.asec,
    "arccsc": sympy.acsc, "arcsinh": sympy.asinh, "arccosh": sympy.acosh, "arctanh": sympy.atanh, "ln": sympy.log,
    "abs": sympy.Abs, "floor": sympy.floor, "ceil": sympy.ceiling, "max": sympy.Max, "min": sympy.Min,
    "mod": sympy.Mod, "cbrt": sympy.cbrt, "root": sympy.root,
    "gcd": lambda *a: reduce(sympy.gcd, a), "lcm": lambda *a: reduce(sympy.lcm, a),
    **{name: getattr(sympy, name) for name in SAME_NAME},
}  # fmt: skip
OPERATORS: dict[str, Any] = {
    "-": lambda a: -a, "+": lambda a, b: a + b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}  # fmt: skip


class NotBuilt(Exception):
    """A tree has no sympy object: a list, a set or a relation in an expression, a function of other operands."""


def equal(gold: Tree, answer: Tree) -> bool:
    """Whether the difference of two trees is zero once it is worked out. Raises NotBuilt."""
    difference = build(gold) - build(answer)
    return difference == 0 or sympy.simplify(difference.doit()) == 0


def build(tree: Tree) -> Any:
    """The sympy object of a tree of numbers, symbols, operators and functions. Raises NotBuilt for any other."""
    kind = tree[0]
    if kind == "num":
        return sympy.Rational(tree[1].numerator, tree[1].denominator)
    if kind == "sym":
        return sympy.Symbol(tree[1])
    if kind == "const":
        return SYMPY_CONSTANTS[tree[1]]
    if kind == "call":
        return _apply(FUNCTIONS, tree[1], tree[2:])
    if kind in ("integral", "sum", "prod"):
        maker = {"integral": sympy.Integral, "sum": sympy.Sum, "prod": sympy.Product}[kind]
        name = sympy.Symbol(tree[2])
        bounds = [build(b) for b in tree[3:] if b is not None]
        return maker(_body(tree), (name, *bounds) if bounds else name)
    if kind == "lim":
        return sympy.Limit(
            _body(tree), sympy.Symbol(tree[2]), build(tree[3]), "+-" if tree[3][0] != "const" else "-"
        )
    return _apply(OPERATORS, kind, tree[1:])


def _apply(known: dict[str, Any], name: str, trees: tuple[Tree, ...]) -> Any:
    if name not in known or not trees:
        raise NotBuilt(name)
    operands = [build(tree) for tree in trees]
    try:
        return known[name](*operands)
    except TypeError as e:  # more or fewer operands than it has, or of another kind
        raise NotBuilt(name) from e


def _body(tree: Tree) -> Any:
    """The operand of a sum or such, where i and e may be its index and no constant."""
    body = build(tree[1])
    return body.subs(SYMPY_CONSTANTS[tree[2]], sympy.Symbol(tree[2])) if tree[2] in ("i", "e") else body
