"""Mathematics as a tree of tuples.

A tree is (operator, *operands): ("num", Fraction), ("sym", name), ("const", "pi"), ("+", a, b), ("*", a, b),
("/", a, b), ("^", a, b), ("-", a), ("pm", a, b), ("call", name, ...), ("list", brackets, ...), ("set", ...),
("matrix", row, ...), ("rel", sign, left, right), ("cup" or "cap" or "setminus", a, b),
("integral" or "sum" or "prod", body, name, low, high), ("lim", body, name, point).
"""

from typing import Any

Tree = tuple[Any, ...]
