r"""Reading mathematics, LaTeX or plain, as a tree. Nothing is evaluated; size and nesting are bounded."""

from functools import lru_cache

from visreason.answer.reader import Reader
from visreason.answer.tokens import PYTHON_INTERVAL, SIDE, NotMaths, tokens
from visreason.answer.tree import Tree

READ_CHARS = 1_000
MAX_HEIGHT = 120
"""Levels of a tree that everything after can walk without reaching Python's limit of calls."""


@lru_cache(maxsize=4096)
def parse(text: str, python: bool = False) -> Tree | None:
    r"""The tree of a text as `normalize.spell` writes it, or None.

    With `python` words are names and calls, as in the output of a program.

    >>> parse(r"\frac{1}{2}x")
    ('*', ('/', ('num', Fraction(1, 1)), ('num', Fraction(2, 1))), ('sym', 'x'))
    >>> parse("(1, 2]"), parse("a house")
    (('list', '(]', ('num', Fraction(1, 1)), ('num', Fraction(2, 1))), None)
    """
    if not text or len(text) > READ_CHARS:
        return None
    try:
        text = SIDE.sub("", text) if "lim" in text or python else text
        if python:
            text = PYTHON_INTERVAL.sub(r"Interval\1", text)
        tree = Reader([], python).apart(tokens(text, python), 0)
    except (NotMaths, ZeroDivisionError, ValueError):
        return None
    return tree if _height(tree) <= MAX_HEIGHT else None


def _height(tree: Tree) -> int:
    """Levels of a tree; chains of signs and products are as deep as they are long."""
    level: list[Tree] = [tree]
    for height in range(1, MAX_HEIGHT + 2):
        level = [part for t in level for part in t if isinstance(part, tuple)]
        if not level:
            return height
    return MAX_HEIGHT + 1
