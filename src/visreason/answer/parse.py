r"""Reading mathematics, LaTeX or plain, as a tree. Nothing is evaluated; size and nesting are bounded."""

from functools import lru_cache

from visreason.answer.reader import Reader
from visreason.answer.tokens import PYTHON_INTERVAL, SIDE, NotMaths, tokens
from visreason.answer.tree import Tree

READ_CHARS = 1_000


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
        return Reader([], python).apart(tokens(text, python), 0)
    except (NotMaths, ZeroDivisionError, ValueError):
        return None
