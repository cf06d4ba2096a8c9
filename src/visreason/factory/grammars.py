"""Checks of formal languages without a parser at hand: flow charts, netlists, notes, LaTeX. Texts are a model's, so no
pattern may take long on any of them."""

import re

from visreason.errors import DataError

MERMAID_HEAD = re.compile(r"(?:graph|flowchart)\b(?:[ \t]+(?:TD|TB|BT|LR|RL)\b)?[ \t]*;?")
MERMAID_WORD = re.compile(
    r"(?:subgraph|style|classDef|class|linkStyle|direction|click|accTitle|accDescr)\b|end$|%%"
)
NODE = re.compile(
    r"\s*\w+(?:-\w+)*\s*(?:\[\[[^\[\]]*\]\]|\[[^\[\]]*\]|\(\(\([^()]*\)\)\)|\(\([^()]*\)\)|\(\[[^\[\]]*\]\)|\([^()]*\)"
    r"|\{\{[^{}]*\}\}|\{[^{}]*\}|>[^\[\]]*\])?(?::::?\w+)?\s*"
)
ARROW = re.compile(
    r"(?:[<ox]?-{2,}[->xo]|[<ox]?={2,}[=>xo]|[<ox]?-\.+-[>xo]?|~~~"
    r"|--(?![->])[^|>]*?-{2,}[->xo]|==(?![=>])[^|>]*?={2,}[=>xo]|-\.(?![-.])[^|>]*?\.-[>xo]?)\s*(?:\|[^|]*\|)?"
)
JOIN = re.compile(r"[&;]")
LONGEST_LINE = 1000
PLANTUML_BLOCKS = (("if", "endif"), ("while", "endwhile"), ("fork", "end fork"), ("repeat", "repeat while"))
SPICE_LEAST = {
    "R": 4, "C": 4, "L": 4, "V": 3, "I": 3, "D": 4, "Q": 5, "M": 6, "E": 6, "F": 5, "G": 6, "H": 5, "X": 3, "J": 5,
    "K": 4, "S": 6, "B": 4, "T": 6, "W": 5, "Z": 5,
}  # fmt: skip
"""Fields of an element by its first letter, its name and nodes among them."""
NOTE = re.compile(r"(?<![\\\w])[a-h](?:is|es|s|f|ss|ff|isis|eses|x)?[',]*\d*\.*(?!\w)")


def check_mermaid(text: str) -> None:
    """A flow chart: its head, then nodes, arrows and groups."""
    lines = [line for line in _lines(text) if not line.startswith("%%")]
    head = MERMAID_HEAD.match(lines[0]) if lines else None
    if head is None:
        raise DataError(f"expected `flowchart TD` and nodes, found {lines[0][:60] if lines else 'nothing'!r}")
    statements = [line for line in (lines[0][head.end() :].strip(), *lines[1:]) if line]
    if not statements:
        raise DataError("expected nodes behind the head, found none")
    for line in statements:
        if not MERMAID_WORD.match(line) and not _is_chain(line):
            raise DataError(f"expected another statement, found {line[:60]!r}")
    if sum(line.startswith("subgraph") for line in statements) != statements.count("end"):
        raise DataError("expected an end for every subgraph")


def _is_chain(line: str) -> bool:
    """Nodes, those behind an `&`, and arrows between them; several chains with semicolons. Labels in quotes may hold
    anything."""
    line = re.sub(r'"[^"]*"', "q", line)
    if len(line) > LONGEST_LINE:
        return False
    at = 0
    while at < len(line):
        node = NODE.match(line, at)
        if node is None:
            return False
        at = node.end()
        link = JOIN.match(line, at) or ARROW.match(line, at)
        if at < len(line) and link is None:
            return False
        at = link.end() if link else at
        if at == len(line) and link and link[0] != ";":
            return False
    return True


def check_plantuml(text: str) -> None:
    """Statements between @startuml and @enduml whose blocks are closed."""
    lines = _lines(text)
    if len(lines) < 3 or not lines[0].startswith("@startuml") or lines[-1] != "@enduml":
        raise DataError("expected statements between @startuml and @enduml")
    for begin, end in PLANTUML_BLOCKS:
        opened = sum(bool(re.match(rf"{begin}\b(?! while)(?! again)", line)) for line in lines)
        closed = sum(line.startswith(end) for line in lines)
        if opened != closed:
            raise DataError(f"expected an {end} for every {begin}, found {closed} for {opened}")
    if text.count("{") != text.count("}"):
        raise DataError("expected as many closing as opening braces")


def check_spice(text: str) -> None:
    """Elements with their nodes, over several lines with a plus; directives with a dot, comments with a star; the first
    line may be a title. At least one element."""
    text = re.sub(r"\n[ \t]*\+", " ", text)
    lines = _lines(re.sub(r"^[ \t]*\.control\b.*?^[ \t]*\.endc\b", "", text, flags=re.I | re.M | re.S))
    titled = bool(lines) and lines[0][0] not in "*.;" and not _is_element(lines[0])
    elements = [line for line in lines[titled:] if line[0] not in "*.;$"]
    for line in elements:
        if not _is_element(line):
            raise DataError(f"expected an element with its nodes and value, found {line[:60]!r}")
    if not elements:
        raise DataError("expected at least one element, found none")


def _is_element(line: str) -> bool:
    least = SPICE_LEAST.get(line[0].upper())
    return least is not None and len(re.split(r"[;$]", line)[0].split()) >= least


def check_lilypond(text: str) -> None:
    """Music in braces that are closed in order."""
    plain = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    plain = re.sub(r"%.*", "", re.sub(r"%\{.*?%\}", "", plain, flags=re.S))
    _balanced(re.sub(r"->|<-|\\[<>]", "", plain), {"{": "}", "<": ">"})
    begin = re.search(r"[{<]", plain)
    if begin is None or not NOTE.search(plain, begin.end()):
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


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _balanced(text: str, pairs: dict[str, str]) -> None:
    stack: list[str] = []
    for c in text:
        if c in pairs:
            stack.append(pairs[c])
        elif c in pairs.values() and (not stack or stack.pop() != c):
            raise DataError(f"expected brackets closed in order, found {c!r}")
    if stack:
        raise DataError(f"expected {stack[-1]!r} before the end")
