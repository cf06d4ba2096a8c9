"""The number that a text stands for, and how near two numbers have to be."""

import math
import re
from fractions import Fraction

from visreason.answer.arithmetic import NoNumber, Number
from visreason.answer.compute import number
from visreason.answer.parse import parse
from visreason.answer.tree import Tree
from visreason.answer.words import SCALES, number_in_words

TOLERANCE = 1e-6
SHORT = re.compile(r"(-?\d+(?:\.\d+)?)(K|k|M|B|T| ?bn| ?mn)")
SHORT_SCALES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "b": "billion",
    "bn": "billion",
    "t": "trillion",
}
"""Signs of scale close behind a number, as charts have them."""


def value(text: str) -> Number | None:
    """The number that a spelled text stands for, or None: a constant expression, or a number in words.

    >>> value("1/4"), value("2x"), value("twelve")
    (Fraction(1, 4), None, Fraction(12, 1))
    """
    if short := SHORT.fullmatch(text):
        return Fraction(short[1]) * SCALES[SHORT_SCALES[short[2].strip().lower()]]
    words = number_in_words(text) if text[:1].isalpha() else None
    if words is not None:
        return Fraction(words)
    tree = parse(text)
    if tree is None:
        suffixed = number_in_words(text)
        return None if suffixed is None else Fraction(suffixed)
    return constant(tree)


def decimals(text: str) -> int | None:
    """Digits after the point of a plain decimal number; None for anything else.

    >>> decimals("3.14"), decimals("22/7")
    (2, None)
    """
    match = re.fullmatch(r"[-+]?\d*\.(\d+)", text)
    return len(match.group(1)) if match else None


def constant(tree: Tree) -> Number | None:
    """The value of a tree without symbols; None where it has none."""
    try:
        return number(tree, {})
    except NoNumber:
        return None


def close(
    gold: Number, answer: Number, gold_places: int | None, places: int | None, precision: float | None
) -> bool:
    """Equal exactly, or nearly where one is no whole number, or where one is the other rounded to its places."""
    if gold == answer or (_whole(gold) and _whole(answer) and precision is None):
        return gold == answer
    try:
        difference, size = float(abs(gold - answer)), float(max(abs(gold), abs(answer)))
    except OverflowError:  # two numbers beyond floating point that are not the same
        return False
    if not math.isfinite(difference):
        return False
    if difference <= TOLERANCE * size or (precision is not None and difference <= 1.01 * precision):
        return True
    if gold_places is None or gold_places < 2 or abs(gold) < 10 * 10.0**-gold_places:
        return False  # the gold answer has less than two digits that a rounding shows in
    if places is not None and places < gold_places:
        return False
    return difference <= 0.5000001 * 10.0**-gold_places


def _whole(number: Number) -> bool:
    return isinstance(number, Fraction) and number.denominator == 1
