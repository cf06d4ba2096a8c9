"""Whether an answer equals the gold one, and by which rule: exact spelling, number, list of such, or symbolic.

Numbers: exact fractions are compared exactly, and within a relative 1e-6 where one side is a decimal or irrational. A
gold decimal of two or more places and digits also equals what rounds to it (0.33 and 1/3; 3.46 and 2 sqrt 3), but an
exact gold answer is not equal to its rounding. A percent sign may be left out or worked out (28%, 28, 0.28). Units may
be left out or converted, but not differ.
"""

import re
from fractions import Fraction
from functools import lru_cache

from visreason.answer.angles import same_angle
from visreason.answer.budget import spend
from visreason.answer.compute import symbols
from visreason.answer.lists import parts, shape
from visreason.answer.normalize import normalize, spell, split_name, split_percent, split_unit
from visreason.answer.parse import parse
from visreason.answer.quantity import same_quantity, worded
from visreason.answer.rules import DEFAULT, Rules
from visreason.answer.same import same
from visreason.answer.tree import Tree
from visreason.answer.units import measure, ratio
from visreason.answer.value import close, constant, decimals, value
from visreason.answer.words import is_plural
from visreason.record import Reason

MAX_DEPTH = 4
STEPS = 50
"""What a comparison costs at least."""
FRACTION = re.compile(r"-?(?:\\frac\{(\d+)\}\{(\d+)\}|(\d+)/(\d+))")
ARTICLE = re.compile(r"^\s*(?:the|an?)\s+(?=\w{2})", re.IGNORECASE)
COMPOUND_CHARS = 60
COMPOUND = re.compile(r"(?=.*[A-Z].*[A-Z])(?:[A-Z][a-z]?\d*){2,8}(?:\d?[+-])?|[A-Z][a-z]?\d?[+-]")
POINT = re.compile(r"\([^()=]+,[^()=]+\)")
COORDINATES = re.compile(
    r"x ?= ?([^,=]+?) ?(?:,|and|, and) ?y ?= ?([^,=]+?)(?: ?(?:,|and|, and) ?z ?= ?([^,=]+?))?"
)
MARKS = re.compile(r"(?<=[^\W\d_])[-.'’](?=\s?\w)|\s+")
PARTICLE = re.compile(r"(?<=[\u4e00-\u9fff])[的了]$")
PLURAL = re.compile(r"[a-z]{3,30}")
YES = {"是": "yes", "否": "no", "不是": "no", "不": "no"}
WORDS = re.compile(r"[A-Za-z]{2,}|[A-Za-z]+(?: [A-Za-z]+)+")


def equal(gold: str, answer: str, rules: Rules = DEFAULT, depth: int = 0) -> Reason | None:
    r"""The rule by which the answer is right, or None. `depth` counts the lists it lies in.

    >>> equal("1/2", r"$\frac{1}{2}$"), equal("0.5", "x = 1/2"), equal("5 cm", "5 m"), equal("1, 2", "2,1")
    ('numeric', 'numeric', None, 'set')
    >>> equal("(x+1)^2", "x^2+2x+1"), equal("1/2", "2/4", Rules(reduced=True))
    ('symbolic', None)
    """
    spend(STEPS)
    if rules.python:
        return "exact" if _alike(gold, answer) else _equal_output(gold, answer)
    gold, answer = worded(gold), _point(gold, worded(answer))
    if _alike(gold, answer):
        return "exact"
    if (same_arc := same_angle(gold, answer)) is not None:
        return "numeric" if same_arc else None
    if (same_size := same_quantity(spell(gold), spell(answer))) is not None:
        return "numeric" if same_size else None
    if rules.reduced and _unreduced(spell(answer)):
        return None
    whole_gold, whole_answer = gold, answer
    (gold_name, gold), (name, answer) = _named(gold), _named(answer)
    if gold_name and name and not _same_name(gold_name, name):
        return "symbolic" if _equal_trees(spell(whole_gold), spell(whole_answer)) else None
    if _alike(gold, answer):
        return "exact"
    if _equal_numbers(gold, answer, rules):
        return "numeric"
    if depth < MAX_DEPTH and _equal_lists(gold, answer, rules, depth + 1):
        return "set"
    whole_gold, whole_answer = spell(whole_gold), spell(whole_answer)
    if not rules.relations and _is_chain(whole_gold) != _is_chain(whole_answer):
        return None
    if _equal_trees(whole_gold, whole_answer) or _equal_trees(gold, answer):
        return "symbolic"
    return "exact" if _same_words(whole_gold, whole_answer) else None


def _same_words(gold: str, answer: str) -> bool:
    """Whether two spelled texts that are no mathematics differ only in marks within a name, a plural, a Chinese
    particle, or the language of a yes or no.

    >>> _same_words("Coca-Cola", "coca cola"), _same_words("是的", "yes"), _same_words("-5 cars", "5 cars")
    (True, True, False)
    """
    words, others = (PARTICLE.sub("", MARKS.sub("", text.lower().rstrip("!"))) for text in (gold, answer))
    if (
        PLURAL.fullmatch(words)
        and PLURAL.fullmatch(others)
        and (is_plural(words, others) or is_plural(others, words))
    ):
        return True
    if YES.get(words, words) != YES.get(others, others):
        return False
    return words != others or (parse(gold) is None and parse(answer) is None)


def _point(gold: str, answer: str) -> str:
    """An answer that names the coordinates, or the point, which the gold answer gives without names.

    >>> _point("(3, 4)", "x = 3 and y = 4"), _point("(3, 4)", "A(3, 4)"), _point("3, 4", "x=3, y=4")
    ('(3, 4)', '(3, 4)', 'x=3, y=4')
    """
    if len(answer) > COMPOUND_CHARS or POINT.fullmatch(spell(gold)) is None:
        return answer
    spelled = spell(answer)
    if named := POINT.search(spelled) if re.match(r"[A-Z]'? ?\(", spelled) else None:
        return named.group() if named.end() == len(spelled) else answer
    found = COORDINATES.fullmatch(spelled)
    return f"({', '.join(c for c in found.groups() if c)})" if found else answer


def _alike(gold: str, answer: str) -> bool:
    """Whether two texts are spelled the same, the article before a name and the subscripts of a formula aside."""
    spelling = normalize(_unscripted(ARTICLE.sub("", gold)))
    return spelling != "" and spelling == normalize(_unscripted(ARTICLE.sub("", answer)))


def _unscripted(text: str) -> str:
    """A chemical formula in one line: H2O of H_2O."""
    return _formula(text) or text


def _formula(text: str) -> str:
    if len(text) > COMPOUND_CHARS:
        return ""
    line = re.sub(r"_\{?(\d+)\}?", r"\1", spell(text)).replace(" ", "")
    line = re.sub(r"\^\{?(\d?[+-])\}?$", r"\1", line)
    return line if COMPOUND.fullmatch(line) else ""


def is_value(text: str) -> bool:
    """Whether a text is a number as it stands, perhaps with a name, a unit or a percent sign.

    >>> is_value("x = 5 cm"), is_value("it has 5 sides")
    (True, False)
    """
    bare, _ = split_percent(split_unit(_named(text)[1])[0])
    return value(bare) is not None


@lru_cache(maxsize=4096)
def _named(text: str) -> tuple[str, str]:
    """Name and value of an answer: of a calculation (24 * 24 = 576) the result, of an approximation the exact side."""
    spelled = spell(text)
    exact, approximate, rough = spelled.partition("≈")
    if approximate:
        spelled = exact if value(split_name(exact)[1]) is not None else rough.rpartition("≈")[2]
    left, _, right = spelled.rpartition("=")
    if left and value(left.rpartition("=")[2].strip()) is not None and value(right.strip()) is not None:
        return "", right.strip()
    return split_name(spelled)


def _same_name(gold: str, answer: str) -> bool:
    """Names that may stand for each other: the same, or both of a function (f(x) and y)."""
    gold, answer = normalize(gold), normalize(answer)
    functions = [re.fullmatch(r"y|\w+\(\w+\)", name) is not None for name in (gold, answer)]
    return gold == answer or (all(functions) and "y" in (gold, answer))


def _unreduced(answer: str) -> bool:
    match = FRACTION.fullmatch(answer)
    if match is None:
        return False
    top, bottom = (int(digits) for digits in match.groups() if digits is not None)
    return bottom != 0 and Fraction(top, bottom).denominator != bottom


def _equal_output(gold: str, answer: str) -> Reason | None:
    """A gold answer in the words of a program against mathematics."""
    tree, other = parse(gold, True), parse(spell(answer))
    return "symbolic" if tree is not None and other is not None and same(tree, other) else None


def _is_chain(text: str) -> bool:
    """Whether a text is an inequality, as `-2 <= x <= 7`."""
    tree = parse(text)
    return tree is not None and tree[0] == "rel" and tree[1] in ("<", "<=", ">", ">=")


def _equal_trees(gold: str, answer: str) -> bool:
    """Expressions, relations, matrices; words and formulas of chemistry are none, though LaTeX reads their letters as a
    product.
    """
    if any(WORDS.fullmatch(text) for text in (gold, answer)) or (_formula(gold) and _formula(answer)):
        return False
    tree, other = parse(gold), parse(answer)
    if tree is None or other is None:
        return False
    if not (symbols(tree) or symbols(other)) and tree[0] not in (
        "list",
        "set",
        "matrix",
        "rel",
        "cup",
        "cap",
        "pm",
        "+",
    ):
        return _has_no_value(tree, other) and same(tree, other)
    return same(tree, other)


def _has_no_value(tree: Tree, other: Tree) -> bool:
    """Whether one of two constant expressions has no value, so that only symbolic work can decide."""
    return any(constant(t) is None for t in (tree, other))


def _equal_lists(gold: str, answer: str, rules: Rules, depth: int) -> bool:
    gold_parts, answer_parts = parts(gold), parts(answer)
    if len(gold_parts) < 2 or len(gold_parts) != len(answer_parts) or shape(gold) != shape(answer):
        return False
    return _equal_parts(gold_parts, answer_parts, shape(gold) not in ("", "{}"), rules, depth)


def _equal_numbers(gold: str, answer: str, rules: Rules) -> bool:
    (gold, gold_unit), (answer, unit) = split_unit(gold), split_unit(answer)
    if rules.unit and measure(rules.unit):
        gold_unit = gold_unit or rules.unit
    scale = ratio(unit, gold_unit)
    if scale is None:
        return False
    (gold, gold_percent), (answer, percent) = split_percent(gold), split_percent(answer)
    x, y = value(gold), value(answer)
    if x is None or y is None:
        return bool(gold_unit or unit) and normalize(gold) == normalize(answer) != ""
    if close(x, y * scale, decimals(gold), decimals(answer) if scale == 1 else None, rules.precision):
        return True
    if rules.times_100 and any(close(x, z, None, None, rules.precision) for z in (y / 100, 100 * y)):
        return True
    if gold_percent and not percent:
        return close(x, 100 * y, decimals(gold), None, rules.precision)
    return percent and not gold_percent and close(x, y / 100, None, None, rules.precision)


def _equal_parts(gold: list[str], answer: list[str], ordered: bool, rules: Rules, depth: int) -> bool:
    if ordered:
        return all(equal(g, a, rules, depth) for g, a in zip(gold, answer, strict=True))
    left = list(answer)
    for g in gold:
        found = next((i for i, a in enumerate(left) if equal(g, a, rules, depth)), None)
        if found is None:
            return False
        del left[found]
    return True
