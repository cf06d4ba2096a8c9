"""Mathematics as a tree of tuples.

A tree is (operator, *operands): ("num", Fraction), ("sym", name), ("const", "pi"), ("+", a, b), ("*", a, b),
("/", a, b), ("^", a, b), ("-", a), ("pm", a, b), ("call", name, *operands), ("list", brackets, *parts),
("set", *parts), ("matrix", ("row", *cells), ...), ("rel", sign, left, right) and for a chain ("rel", sign, a, b, sign,
c), ("cup" or "cap" or "setminus", a, b), ("integral" or "sum" or "prod", body, name, low, high) with None for a bound
that is not there, ("lim", body, name, point).
"""

from typing import Any

Tree = tuple[Any, ...]


def ungrouped(tree: Tree) -> Tree:
    """The only element of a set: braces also group, as in a factor.

    >>> ungrouped(("set", ("sym", "x"))), ungrouped(("sym", "x"))
    (('sym', 'x'), ('sym', 'x'))
    """
    return tree[1] if tree[0] == "set" and len(tree) == 2 else tree
