"""Lists as they are written: their elements and the brackets round them."""

import re

MAX_PARTS = 30
BRACKETS = {"(": ")", "[": "]", "{": "}"}
PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])|±|\+/-")


def parts(text: str) -> list[str]:
    """The elements of a list written with commas, semicolons or "and", in brackets or not; a plus-minus is two."""
    text = text.replace("\\{", "{").replace("\\}", "}")
    inner = text[1:-1] if _brackets(text) else text
    found, depth, start = [], 0, 0
    for i, char in enumerate(inner):
        depth += (char in "([{") - (char in ")]}")
        if char in ",;，；、" and depth == 0:
            found.append(inner[start:i])
            start = i + 1
    found.append(inner[start:])
    if len(found) == 1:
        found = re.split(r"\band\b|\bor\b|\\cup(?![A-Za-z])|∪", inner)
    found = [re.sub(r"^(?:and|or)\b", "", p.strip()).strip() for p in found]
    signed = [[PLUS_MINUS.sub(s, p) for s in "+-"] if PLUS_MINUS.search(p) else [p] for p in found if p]
    split = [p.removeprefix("+") for pair in signed for p in pair]
    return split if len(split) <= MAX_PARTS else [text]


def shape(text: str) -> str:
    """The brackets that say a list is ordered; empty for a set or none."""
    return _brackets(text.replace("\\{", "{").replace("\\}", "}")).replace("{}", "")


def _brackets(text: str) -> str:
    """The brackets round a whole text, or an empty string: `(1, 2]` has "(]", `(1)(2)` none."""
    if len(text) < 2 or text[0] not in BRACKETS or text[-1] not in BRACKETS.values():
        return ""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in BRACKETS) - (char in BRACKETS.values())
        if depth == 0 and i < len(text) - 1:
            return ""
    return text[0] + text[-1]
