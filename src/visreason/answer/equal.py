"""Whether an answer equals the gold one, and by which rule: exact spelling, number, or list of such.

Numbers: exact fractions are compared exactly, and within a relative 1e-6 where one side is a decimal or irrational. A
decimal with two or more places also equals the fraction or root it is the rounding of (0.33 and 1/3; 3.46 and
2 sqrt 3, but not 0.00 and 1/300), and a gold decimal equals a longer one that rounds to it. A percent sign may be left
out or worked out (28%, 28, 0.28). Units may be left out but not differ. Nothing symbolic.
"""

import re
from fractions import Fraction

from visreason.answer.normalize import normalize, spell, split_name, split_percent, split_unit
from visreason.answer.value import Number, decimals, value
from visreason.record import Reason

TOLERANCE = 1e-6
MAX_PARTS, MAX_DEPTH = 30, 4
BRACKETS = {"(": ")", "[": "]", "{": "}"}


def equal(gold: str, answer: str, depth: int = 0) -> Reason | None:
    r"""The rule by which the answer is right, or None. `depth` counts the lists it lies in.

    >>> equal("1/2", r"$\frac{1}{2}$"), equal("0.5", "x = 1/2"), equal("5 cm", "5 m"), equal("1, 2", "2,1")
    ('numeric', 'numeric', None, 'set')
    """
    if (spelling := normalize(gold)) and spelling == normalize(answer):
        return "exact"
    (gold_name, gold), (name, answer) = _named(gold), _named(answer)
    if gold_name and name and normalize(gold_name) != normalize(name):
        return None
    if (spelling := normalize(gold)) and spelling == normalize(answer):
        return "exact"
    if _equal_numbers(gold, answer):
        return "numeric"
    return "set" if depth < MAX_DEPTH and _equal_lists(gold, answer, depth + 1) else None


def is_value(text: str) -> bool:
    """Whether a text is a number as it stands, perhaps with a name, a unit or a percent sign.

    >>> is_value("x = 5 cm"), is_value("it has 5 sides")
    (True, False)
    """
    bare, _ = split_percent(split_unit(_named(text)[1])[0])
    return value(normalize(bare)) is not None


def _named(text: str) -> tuple[str, str]:
    """Name and value of an answer: of a calculation (24 * 24 = 576) the result, of an approximation the exact side."""
    spelled = spell(text)
    exact, approximate, rough = spelled.partition("≈")
    if approximate:
        spelled = exact if value(normalize(split_name(exact)[1])) is not None else rough.rpartition("≈")[2]
    left, _, right = spelled.rpartition("=")
    if value(normalize(left.rpartition("=")[2])) is not None and value(normalize(right)) is not None:
        return "", right.strip()
    return split_name(spelled)


def _equal_lists(gold: str, answer: str, depth: int) -> bool:
    gold_parts, parts = _parts(gold), _parts(answer)
    if len(gold_parts) < 2 or len(gold_parts) != len(parts) or _shape(gold) != _shape(answer):
        return False
    return _equal_parts(gold_parts, parts, _shape(gold) != "", depth)


def _equal_numbers(gold: str, answer: str) -> bool:
    (gold, gold_unit), (answer, unit) = split_unit(gold), split_unit(answer)
    if gold_unit and unit and normalize(gold_unit) != normalize(unit):
        return False
    (gold, gold_percent), (answer, percent) = split_percent(gold), split_percent(answer)
    gold, answer = normalize(gold), normalize(answer)
    x, y = value(gold), value(answer)
    if x is None or y is None:
        return gold == answer != ""
    if _close(x, y, decimals(gold), decimals(answer)):
        return True
    if gold_percent and not percent:
        return _close(x / 100, y, None, None)
    return percent and not gold_percent and _close(x, y / 100, None, None)


def _close(gold: Number, answer: Number, gold_places: int | None, places: int | None) -> bool:
    """Equal exactly, or nearly where one is no whole number, or where one is the other rounded to its places."""
    if gold == answer or (_whole(gold) and _whole(answer)):
        return gold == answer
    if abs(gold - answer) <= TOLERANCE * max(abs(gold), abs(answer)):
        return True
    rounded, coarse = (places, answer) if gold_places is None else (gold_places, gold)
    if rounded is None or rounded < 2 or abs(coarse) < 10 * 10.0**-rounded:  # at least two significant digits
        return False
    if gold_places is not None and places is not None and places < gold_places:
        return False
    return abs(gold - answer) <= 0.5000001 * 10.0**-rounded


def _whole(number: Number) -> bool:
    return isinstance(number, Fraction) and number.denominator == 1


def _parts(text: str) -> list[str]:
    """The elements of a list written with commas, semicolons or "and", with or without brackets."""
    inner = text[1:-1] if _brackets(text) else text
    parts, depth, start = [], 0, 0
    for i, char in enumerate(inner):
        depth += (char in "([{") - (char in ")]}")
        if char in ",;" and depth == 0:
            parts.append(inner[start:i])
            start = i + 1
    parts.append(inner[start:])
    if len(parts) == 1:
        parts = re.split(r"\band\b|\\cup\b", inner)
    parts = [p.strip().removeprefix("and ").strip() for p in parts]
    return parts if len(parts) <= MAX_PARTS and all(parts) else []


def _shape(text: str) -> str:
    """What a list is by its brackets: `()`, `[)` and such keep an order; braces and none are a set, written ""."""
    shape = _brackets(text)
    return "" if shape == "{}" else shape


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


def _equal_parts(gold: list[str], answer: list[str], ordered: bool, depth: int) -> bool:
    if ordered:
        return all(equal(g, a, depth) for g, a in zip(gold, answer, strict=True))
    left = list(answer)
    for g in gold:
        found = next((a for a in left if equal(g, a, depth)), None)
        if found is None:
            return False
        left.remove(found)
    return True
