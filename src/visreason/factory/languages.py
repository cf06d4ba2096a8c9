"""Formal languages of descriptions, each with what reads it: parsers where there are any, else a check of its grammar.

Nothing that is described is ever run.
"""

import ast
import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

from visreason.errors import DataError

VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
"""HTML elements without an end."""
OPTIONAL = ("p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot")
"""HTML elements whose end may be left out."""
DRAWN = (
    "plot",
    "bar",
    "barh",
    "pie",
    "scatter",
    "hist",
    "boxplot",
    "stackplot",
    "fill_between",
    "step",
    "stem",
    "imshow",
)
MERMAID_HEAD = re.compile(r"(?:graph|flowchart)\s+(?:TD|TB|BT|LR|RL)\s*;?$")
NODE = r"[\w-]+(?:\s*(?:\[[^\[\]]*\]|\(\(?[^()]*\)?\)|\{[^{}]*\}|>[^\]]*\]|\(\[[^\]]*\]\)|\[\([^)]*\)\]))?"
ARROW = r"\s*(?:-->|---|-\.->|==>|--[^->|]+-->|--[^->|]+---)\s*(?:\|[^|]*\|\s*)?"
MERMAID_LINE = re.compile(
    rf"(?:{NODE}(?:\s*&\s*{NODE})*(?:{ARROW}{NODE}(?:\s*&\s*{NODE})*)*|subgraph\b.*|end|%%.*|(?:style|classDef|class|linkStyle|direction)\s.*);?$"
)
SPICE_LEAST = {
    "R": 4,
    "C": 4,
    "L": 4,
    "V": 3,
    "I": 3,
    "D": 4,
    "Q": 5,
    "M": 6,
    "E": 6,
    "F": 5,
    "G": 6,
    "H": 5,
    "X": 3,
    "J": 5,
    "K": 4,
    "S": 6,
    "B": 4,
}
"""Fields of an element by its first letter, its name and nodes among them."""
LOGIC_NODES = (
    ast.Expression,
    ast.Call,
    ast.Name,
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.Load,
)


def check_csv(text: str) -> None:
    """Rows of one length, at least two of them, and at least two columns."""
    rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    widths = sorted({len(row) for row in rows})
    if len(rows) < 2 or len(widths) != 1 or widths[0] < 2:
        raise DataError(f"expected rows of one length, found {len(rows)} rows with {widths} columns")


def check_json(text: str) -> None:
    """An object or a list."""
    if not isinstance(json.loads(text), dict | list):
        raise DataError("expected an object or a list")


def check_matplotlib(text: str) -> None:
    """Python that imports matplotlib and draws something."""
    tree = ast.parse(text)
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    calls = {
        n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    }
    if not any(name.split(".")[0] == "matplotlib" for name in names):
        raise DataError("expected an import of matplotlib, found none")
    if not calls & set(DRAWN):
        raise DataError(f"expected a call that draws ({', '.join(DRAWN[:4])}, ...), found none")


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


def check_mermaid(text: str) -> None:
    """A flow chart: its head, then nodes, arrows and groups."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not MERMAID_HEAD.match(lines[0]):
        raise DataError(f"expected `flowchart TD` and nodes, found {lines[0][:60] if lines else 'nothing'!r}")
    _each(lines[1:], MERMAID_LINE)
    if sum(line.startswith("subgraph") for line in lines) != lines.count("end"):
        raise DataError("expected an end for every subgraph")


def check_plantuml(text: str) -> None:
    """Statements between @startuml and @enduml whose blocks are closed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 3 or not lines[0].startswith("@startuml") or lines[-1] != "@enduml":
        raise DataError("expected statements between @startuml and @enduml")
    for begin, end in (
        ("if", "endif"),
        ("while", "endwhile"),
        ("fork", "end fork"),
        ("repeat", "repeat while"),
    ):
        opened = sum(bool(re.match(rf"{begin}\b(?! while)(?! again)", line)) for line in lines)
        closed = sum(line.startswith(end) for line in lines)
        if opened != closed:
            raise DataError(f"expected an {end} for every {begin}, found {closed} for {opened}")
    if text.count("{") != text.count("}"):
        raise DataError("expected as many closing as opening braces")


def check_spice(text: str) -> None:
    """Elements with their nodes, directives with a dot, comments with a star; at least one element."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    elements = [line for line in lines if line[0] not in "*.+;"]
    for line in elements:
        least = SPICE_LEAST.get(line[0].upper())
        if least is None or len(line.split()) < least:
            raise DataError(f"expected an element with its nodes and value, found {line[:60]!r}")
    if not elements:
        raise DataError("expected at least one element, found none")


def check_lilypond(text: str) -> None:
    """Music in braces that are closed in order."""
    plain = re.sub(r'"(?:\\.|[^"\\])*"|%.*', "", text)
    _balanced(re.sub(r"->|<-|\\[<>]", "", plain), {"{": "}", "<": ">"})
    if not re.search(r"[{<][^{}]*\b[a-g](?:is|es)?[',]*\d*", plain):
        raise DataError("expected notes in braces, found none")


def check_latex(text: str) -> None:
    """Braces and environments that are closed in order."""
    plain = re.sub(r"\\[{}%\\]|(?<!\\)%.*", "", text)
    _balanced(plain, {"{": "}"})
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([^}]*)\}", plain):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            raise DataError(f"expected environments closed in order, found \\end{{{name}}}")
    if stack or not plain.strip():
        raise DataError(f"expected LaTeX whose environments are closed, found {', '.join(stack) or 'none'}")


def check_logic(text: str) -> None:
    """Logic forms of geometry, one a line: names applied to names, numbers and expressions (Inter-GPS).

    >>> check_logic("Equals(LengthOf(Line(A,B)),2*x+1)")
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        tree = ast.parse(line, mode="eval")
        if not isinstance(tree.body, ast.Call) or not all(isinstance(n, LOGIC_NODES) for n in ast.walk(tree)):
            raise DataError(f"expected a form as Equals(LengthOf(Line(A,B)),4), found {line[:60]!r}")
    if not lines:
        raise DataError("expected logic forms, found none")


def _each(lines: list[str], pattern: re.Pattern[str]) -> None:
    wrong = next((line for line in lines if not pattern.match(line)), None)
    if wrong is not None:
        raise DataError(f"expected another statement, found {wrong[:60]!r}")


def _balanced(text: str, pairs: dict[str, str]) -> None:
    stack: list[str] = []
    for c in text:
        if c in pairs:
            stack.append(pairs[c])
        elif c in pairs.values() and (not stack or stack.pop() != c):
            raise DataError(f"expected brackets closed in order, found {c!r}")
    if stack:
        raise DataError(f"expected {stack[-1]!r} before the end")


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
    except (SyntaxError, ValueError, csv.Error, RecursionError, MemoryError) as e:
        raise DataError(f"the {language} can't be parsed ({e})") from e
