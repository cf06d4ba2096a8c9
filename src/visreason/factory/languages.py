"""Formal languages of descriptions, each with what reads it: parsers where there are any, else a check of its grammar.

Nothing that is described is ever run.
"""

import ast
import csv
import io
import json
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Literal

from visreason.errors import DataError
from visreason.factory.grammars import (
    check_latex,
    check_lilypond,
    check_mermaid,
    check_plantuml,
    check_spice,
)

VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
"""HTML elements without an end."""
OPTIONAL = (
    "p", "li", "td", "th", "tr", "dt", "dd", "option", "optgroup", "colgroup", "thead", "tbody", "tfoot", "html",
    "head", "body",
)  # fmt: skip
"""HTML elements whose end may be left out."""
DRAWN = (
    "plot", "bar", "barh", "pie", "scatter", "hist", "hist2d", "boxplot", "violinplot", "errorbar", "stackplot",
    "fill_between", "fill", "step", "stem", "imshow", "matshow", "pcolormesh", "contour", "contourf", "quiver",
    "hexbin",    "semilogx", "semilogy", "loglog", "polar", "eventplot", "broken_barh", "table", "vlines", "hlines",
)  # fmt: skip
LOGIC_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Load,
)  # fmt: skip


def check_csv(text: str) -> None:
    """Rows of one length, at least two of them, and at least two columns."""
    rows = [row for row in csv.reader(io.StringIO(text), strict=True, skipinitialspace=True) if row]
    widths = sorted({len(row) for row in rows})
    if len(rows) < 2 or len(widths) != 1 or widths[0] < 2:
        raise DataError(f"expected rows of one length, found {len(rows)} rows with {widths} columns")


def check_json(text: str) -> None:
    """An object or a list."""
    if not isinstance(json.loads(text), dict | list):
        raise DataError("expected an object or a list")


def check_matplotlib(text: str) -> None:
    """Python that imports matplotlib and draws something."""
    tree = _python(text, "exec")
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    calls = {
        n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    }
    if not any(name.split(".")[0] == "matplotlib" for name in names):
        raise DataError("expected an import of matplotlib, found none")
    if not calls & set(DRAWN):
        raise DataError(f"expected a call that draws ({', '.join(DRAWN[:4])}, ...), found none")


def _python(text: str, mode: Literal["exec", "eval"]) -> ast.AST:
    """The syntax tree; a backslash before a letter in a label is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)


class _Elements(HTMLParser):
    """Counts elements and keeps those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count += 1

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in OPTIONAL:
            self.open.pop()
        if not self.open or self.open[-1] != tag:
            raise DataError(
                f"expected the end of {self.open[-1] if self.open else 'nothing'}, found </{tag}>"
            )
        self.open.pop()


def check_html(text: str) -> None:
    """Elements that are closed in order."""
    parser = _Elements()
    parser.feed(text)
    parser.close()
    left = [tag for tag in parser.open if tag not in OPTIONAL]
    if left or not parser.count:
        raise DataError(f"expected elements that are closed, found {', '.join(left) or 'none'}")


def check_logic(text: str) -> None:
    """Logic forms of geometry, one a line: names applied to names, numbers and expressions (Inter-GPS).

    >>> check_logic("Equals(LengthOf(Line(A,B)),2*x+1)")
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        tree = _python(line, "eval")
        form = getattr(tree, "body", None)
        if not isinstance(form, ast.Call) or not all(isinstance(n, LOGIC_NODES) for n in ast.walk(tree)):
            raise DataError(f"expected a form as Equals(LengthOf(Line(A,B)),4), found {line[:60]!r}")
    if not lines:
        raise DataError("expected logic forms, found none")


LANGUAGES: dict[str, Callable[[str], None]] = {
    "csv": check_csv, "json": check_json, "matplotlib": check_matplotlib, "html": check_html,
    "mermaid": check_mermaid, "plantuml": check_plantuml, "spice": check_spice, "lilypond": check_lilypond,
    "latex": check_latex, "logic": check_logic,
}  # fmt: skip
"""What refuses a text of each language, by raising DataError."""
MOST_CHARS = 20_000


def check_language(language: str, text: str) -> None:
    """Raises DataError for a text that is not of the language, or too long to be a description."""
    if len(text) > MOST_CHARS:
        raise DataError(f"expected at most {MOST_CHARS} characters of {language}, found {len(text)}")
    try:
        LANGUAGES[language](text)
    except DataError as e:
        raise DataError(f"the {language} can't be used: {e}") from e
    except (SyntaxError, ValueError, csv.Error, RecursionError, MemoryError, AssertionError) as e:
        # the last is html.parser's, of marked sections that it does not know
        raise DataError(f"the {language} can't be parsed ({e})") from e
