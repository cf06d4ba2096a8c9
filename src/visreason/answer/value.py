r"""The number an expression stands for, exact where that is possible: digits, + - * / ^, \frac, \sqrt, \pi, powers.

A small reader of its own, because answers come from a model: nothing is evaluated as code, sizes are bounded, and
whatever is not a number is None. Variables, sums over names and functions are not read.
"""

import math
import re
from fractions import Fraction

READ_CHARS, DEPTH, DIGITS, POWER = 200, 20, 60, 64
Number = Fraction | float

TOKEN = re.compile(
    r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2}(?![\d.]))?|\\frac|\\sqrt|\\pi|[-+*/^(){}\[\]]|\*\*"
)


class _NotANumber(Exception):
    """The text is not an expression that this file reads."""


def value(text: str) -> Number | None:
    r"""The value of a normalized text (see `normalize.normalize`), or None.

    >>> value("\\frac{1}{2}"), value("1.50"), value("2\\sqrt{2}"), value("x+1"), value("1\\frac{1}{2}")
    (Fraction(1, 2), Fraction(3, 2), 2.8284271247461903, None, Fraction(3, 2))
    """
    try:
        reader = _Reader(_tokens(text))
        number = reader.sum(0)
        reader.end()
        return number if math.isfinite(float(number)) else None
    except (_NotANumber, ZeroDivisionError, OverflowError, ValueError):
        return None


def decimals(text: str) -> int | None:
    """Digits after the point of a plain decimal number; None for anything else.

    >>> decimals("3.14"), decimals("22/7")
    (2, None)
    """
    match = re.fullmatch(r"[-+]?\d*\.(\d+)", text)
    return len(match.group(1)) if match else None


def _tokens(text: str) -> list[str]:
    if not text or len(text) > READ_CHARS:
        raise _NotANumber
    tokens, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise _NotANumber
        tokens.append(match.group())
        at = match.end()
    return tokens


class _Reader:
    """Recursive descent over tokens; `at` is the next one."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def end(self) -> None:
        if self.at != len(self.tokens):
            raise _NotANumber

    def sum(self, depth: int) -> Number:
        if depth > DEPTH:
            raise _NotANumber
        total = self.product(depth)
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            total = total + sign * self.product(depth)
        return total

    def product(self, depth: int) -> Number:
        sign = 1
        while self.peek() in ("+", "-"):
            sign *= 1 if self.take() == "+" else -1
        result = self.power(depth)
        while (token := self.peek()) not in ("", "+", "-", ")", "}", "]"):
            if token in ("*", "/", "**"):
                self.take()
            mixed = token == "\\frac" and self.tokens[self.at - 1].isdigit()
            operand = self.signed_power(depth)
            result = result + operand if mixed else result / operand if token == "/" else result * operand
        return sign * result

    def signed_power(self, depth: int) -> Number:
        sign = -1 if self.peek() == "-" else 1
        if sign < 0:
            self.take()
        return sign * self.power(depth)

    def power(self, depth: int) -> Number:
        base = self.atom(depth)
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.signed_power(depth + 1) if depth < DEPTH else self.fail()
        return _power(base, exponent)

    def atom(self, depth: int) -> Number:
        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            return _number(token)
        if token == "\\pi":
            return math.pi
        if token == "\\frac":
            return self.group(depth) / self.group(depth)
        if token == "\\sqrt":
            root = self.group(depth) if self.peek() == "[" else Fraction(2)
            return _power(self.group(depth), 1 / root)
        if token in ("(", "{", "["):
            self.at -= 1
            return self.group(depth)
        return self.fail()

    def group(self, depth: int) -> Number:
        closing = {"(": ")", "{": "}", "[": "]"}.get(self.take()) or self.fail()
        inner = self.sum(depth + 1)
        if self.take() != closing:
            raise _NotANumber
        return inner

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise _NotANumber
        self.at += 1
        return self.tokens[self.at - 1]

    def fail(self) -> "Number":
        raise _NotANumber


def _number(token: str) -> Fraction:
    if len(token) > DIGITS:
        raise _NotANumber
    return Fraction(token)


def _power(base: Number, exponent: Number) -> Number:
    """base ^ exponent, exact for small whole exponents and for exact square roots."""
    if abs(exponent) > POWER:
        raise _NotANumber
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1 and len(str(base)) <= DIGITS:
            return base**exponent.numerator
        if exponent == Fraction(1, 2) and base >= 0:
            top, bottom = math.isqrt(base.numerator), math.isqrt(base.denominator)
            if top * top == base.numerator and bottom * bottom == base.denominator:
                return Fraction(top, bottom)
    if base < 0 and exponent == Fraction(1, 3):
        return -((-float(base)) ** (1 / 3))
    if base < 0:
        raise _NotANumber
    return float(base) ** float(exponent)
