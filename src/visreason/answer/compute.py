"""The number a tree stands for: exact fractions where that is possible, else floats, complex where it must be.

Symbols take the values they are given. No exact number has more than MAX_BITS, so each operation takes bounded time:
2^(2^(2^49)) has no value here, and costs nothing. How many operations there may be is counted by `budget`.
"""

import cmath
import math
from collections.abc import Mapping
from fractions import Fraction
from functools import reduce

from visreason.answer.budget import spend
from visreason.answer.tree import Tree

MAX_BITS, MAX_TERMS, MAX_FACTORIAL = 8_192, 200, 170
Number = Fraction | float | complex
CONSTANT_VALUES: dict[str, Number] = {"pi": math.pi, "e": math.e, "i": 1j, "infty": math.inf}
COMPLEX = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "arcsinh": cmath.asinh,
    "arccosh": cmath.acosh, "arctanh": cmath.atanh, "exp": cmath.exp, "ln": cmath.log,
    "cot": lambda z: 1 / cmath.tan(z), "sec": lambda z: 1 / cmath.cos(z), "csc": lambda z: 1 / cmath.sin(z),
    "coth": lambda z: 1 / cmath.tanh(z), "sech": lambda z: 1 / cmath.cosh(z), "csch": lambda z: 1 / cmath.sinh(z),
    "arccot": lambda z: math.pi / 2 - cmath.atan(z), "arcsec": lambda z: cmath.acos(1 / z),
    "arccsc": lambda z: cmath.asin(1 / z),
}  # fmt: skip


class NoNumber(Exception):
    """The tree has no finite value, or none that is worked out here."""


def number(tree: Tree, values: Mapping[str, Number]) -> Number:
    """The value of a tree. Raises NoNumber.

    >>> number(("/", ("num", Fraction(1)), ("num", Fraction(4))), {})
    Fraction(1, 4)
    """
    try:
        found = _value(tree, values)
    except (ZeroDivisionError, OverflowError, ValueError, TypeError, RecursionError) as e:
        raise NoNumber(str(e)) from e
    return _real(found)


def symbols(tree: Tree) -> frozenset[str]:
    """Names of the free symbols in a tree."""
    if tree[0] == "sym":
        return frozenset({tree[1]})
    found = frozenset().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))
    return found - {tree[2]} if tree[0] in ("integral", "sum", "prod", "lim") else found


def _real(value: Number) -> Number:
    """Without an imaginary part that is rounding. Raises NoNumber for nan."""
    if isinstance(value, complex):
        if cmath.isnan(value):
            raise NoNumber("nan")
        return value.real if abs(value.imag) <= 1e-12 * max(1.0, abs(value.real)) else value
    if isinstance(value, float) and math.isnan(value):
        raise NoNumber("nan")
    return value


def _value(tree: Tree, values: Mapping[str, Number]) -> Number:
    kind = tree[0]
    if kind == "num":
        return tree[1]
    if kind == "sym":
        if tree[1] not in values:
            raise NoNumber(tree[1])
        return values[tree[1]]
    if kind == "const":
        return values.get(tree[1], CONSTANT_VALUES[tree[1]])
    if kind == "-":
        return -_value(tree[1], values)
    if kind in ("+", "*", "/", "^"):
        return _operate(kind, _value(tree[1], values), _value(tree[2], values))
    if kind == "call":
        return _bounded(_call(tree[1], tree[2:], values))
    if kind in ("sum", "prod"):
        return _series(tree, values)
    raise NoNumber(kind)


def _operate(sign: str, a: Number, b: Number) -> Number:
    return _bounded(
        a + b if sign == "+" else a * b if sign == "*" else a / b if sign == "/" else _power(a, b)
    )


def _bounded(x: Number) -> Number:
    """A result, whose cost is counted. Raises NoNumber for an exact one that is too long."""
    bits = _bits(x)
    spend(1 + (bits // 128) ** 2 // 8)  # divisors of long numbers take the square of their length
    if bits > MAX_BITS:
        raise NoNumber("too many digits")
    return x


def _bits(x: Number) -> int:
    return x.numerator.bit_length() + x.denominator.bit_length() if isinstance(x, Fraction) else 0


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            return _whole_power(base, exponent.numerator)
        if (
            base >= 0
            and exponent.denominator <= 16
            and (exact := _exact_root(base, exponent.denominator)) is not None
        ):
            return _whole_power(exact, exponent.numerator)
    if isinstance(base, complex) or isinstance(exponent, complex) or (base < 0 and exponent != int(exponent)):
        return complex(base) ** complex(exponent)
    return float(base) ** float(exponent)


def _whole_power(base: Fraction, exponent: int) -> Number:
    if abs(exponent) * _bits(base) <= MAX_BITS:
        return base**exponent
    if abs(base) == 1:
        return base ** (exponent % 2)
    if abs(exponent) > 1 << 40:
        raise NoNumber("the exponent is too large")
    return float(base) ** exponent


def _exact_root(base: Fraction, degree: int) -> Fraction | None:
    parts = []
    for whole in (base.numerator, base.denominator):
        if whole.bit_length() > 512:
            return None
        root = math.isqrt(whole) if degree == 2 else round(whole ** (1 / degree))
        if root**degree != whole:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1])


def _call(name: str, arguments: tuple[Tree, ...], values: Mapping[str, Number]) -> Number:
    if name == "det":
        return _determinant(arguments[0], values)
    operands = [_value(a, values) for a in arguments]
    if name in ("max", "min"):
        return (max if name == "max" else min)(_reals(operands))
    if name in ("gcd", "lcm"):
        return reduce(_gcd, _reals(operands)) if name == "gcd" else reduce(_lcm, _reals(operands))
    if len(operands) == 2:
        return _binary(name, *operands)
    if len(operands) != 1:
        raise NoNumber(name)
    return _unary(name, operands[0])


def _unary(name: str, x: Number) -> Number:
    if name == "sqrt":
        return _power(x, Fraction(1, 2))
    if name == "cbrt":
        return _binary("root", x, Fraction(3))
    if name == "abs":
        return abs(x)
    if name in ("floor", "ceil", "sign"):
        [real] = _reals([x])
        whole = {"floor": math.floor, "ceil": math.ceil, "sign": lambda r: (r > 0) - (r < 0)}[name](real)
        return Fraction(whole)
    if name == "factorial":
        if not isinstance(x, Fraction) or x.denominator != 1 or not 0 <= x <= MAX_FACTORIAL:
            return math.gamma(float(_reals([x])[0]) + 1)
        return Fraction(math.factorial(int(x)))
    if name == "log":
        return cmath.log(x)
    if name in COMPLEX:
        return _real(COMPLEX[name](complex(x)))
    raise NoNumber(name)


def _binary(name: str, x: Number, y: Number) -> Number:
    if name == "log":
        return _logarithm(x, y)
    if name == "root":
        [degree] = _reals([y])
        if not isinstance(x, complex) and x < 0 and degree == int(degree) and int(degree) % 2:
            return -_power(-x, 1 / degree)
        return _power(x, 1 / degree)
    if name == "mod":
        left, right = _reals([x, y])
        return left % right
    if name == "binomial":
        return _binomial(*_reals([x, y]))
    raise NoNumber(name)


def _binomial(n: Fraction | float, k: Fraction | float) -> Number:
    if all(isinstance(z, Fraction) and z.denominator == 1 for z in (n, k)) and 0 <= k <= n <= 2_000:
        return Fraction(math.comb(int(n), int(k)))
    return math.gamma(float(n) + 1) / math.gamma(float(k) + 1) / math.gamma(float(n - k) + 1)


def _logarithm(x: Number, base: Number) -> Number:
    found = _real(cmath.log(x) / cmath.log(base))
    if isinstance(found, float) and isinstance(x, Fraction) and isinstance(base, Fraction):
        near = round(found)
        if abs(near) < 64 and _whole_power(base, near) == x:
            return Fraction(near)
    return found


def _reals(operands: list[Number]) -> list[Fraction | float]:
    found = []
    for x in operands:
        x = _real(x)
        if isinstance(x, complex) or not math.isfinite(x):
            raise NoNumber("expected a finite real number")
        found.append(x)
    return found


def _gcd(a: Number, b: Number) -> Fraction:
    """Greatest common divisor of fractions; 1 where a side is irrational, as sympy has it."""
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        return Fraction(1)
    bottom = math.lcm(a.denominator, b.denominator)
    return Fraction(math.gcd(int(a * bottom), int(b * bottom)), bottom)


def _lcm(a: Number, b: Number) -> Number:
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        return a * b
    if a == 0 or b == 0:
        return Fraction(0)
    return _bounded(abs(a * b) / _gcd(a, b))


def _series(tree: Tree, values: Mapping[str, Number]) -> Number:
    """A sum or product over few whole numbers."""
    kind, body, name, low, high = tree
    if low is None or high is None:
        raise NoNumber(kind)
    if _holds_series(body):
        raise NoNumber("a series within a series")
    start, stop = _reals([_value(low, values), _value(high, values)])
    if start != int(start) or stop != int(stop) or stop - start > MAX_TERMS:
        raise NoNumber(kind)
    total: Number = Fraction(0 if kind == "sum" else 1)
    for i in range(int(start), int(stop) + 1):
        term = _value(body, {**values, name: Fraction(i)})
        total = _operate("+" if kind == "sum" else "*", total, term)
    return total


def _holds_series(tree: Tree) -> bool:
    return tree[0] in ("sum", "prod") or any(
        _holds_series(part) for part in tree[1:] if isinstance(part, tuple)
    )


def _determinant(tree: Tree, values: Mapping[str, Number]) -> Number:
    if tree[0] != "matrix" or any(len(row) != len(tree) for row in tree[1:]) or len(tree) > 6:
        raise NoNumber("det")
    rows = [[_value(cell, values) for cell in row[1:]] for row in tree[1:]]
    return _laplace(rows)


def _laplace(rows: list[list[Number]]) -> Number:
    if len(rows) == 1:
        return rows[0][0]
    total: Number = Fraction(0)
    for j, head in enumerate(rows[0]):
        minor = _laplace([row[:j] + row[j + 1 :] for row in rows[1:]])
        total = _operate("+", total, _operate("*", head if j % 2 == 0 else -head, minor))
    return total
