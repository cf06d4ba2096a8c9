"""Numbers and what is done with them: exact fractions where that is possible, else floats, complex where it must be.

No exact number has more than MAX_BITS, so each operation takes bounded time; `budget` counts how many there are.
"""

import cmath
import math
from fractions import Fraction

from visreason.answer.budget import spend

MAX_BITS, MAX_FACTORIAL = 8_192, 170
Number = Fraction | float | complex
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
    """There is no finite value, or none that is worked out here."""


def operate(sign: str, a: Number, b: Number) -> Number:
    """A sum, product, quotient or power of two numbers. Raises NoNumber for an exact one that is too long."""
    if sign == "^":
        return counted(power(a, b))
    return counted(a + b if sign == "+" else a * b if sign == "*" else a / b)


def counted(x: Number) -> Number:
    """A result, whose cost is counted. Raises NoNumber for an exact one that is too long."""
    bits = _bits(x)
    spend(1 + (bits // 128) ** 2 // 8)  # divisors of long numbers take the square of their length
    if bits > MAX_BITS:
        raise NoNumber("too many digits")
    return x


def _bits(x: Number) -> int:
    return x.numerator.bit_length() + x.denominator.bit_length() if isinstance(x, Fraction) else 0


def power(base: Number, exponent: Number) -> Number:
    """Exact for whole exponents and roots that come out even."""
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


def real(value: Number) -> Number:
    """Without an imaginary part that is rounding. Raises NoNumber for nan."""
    if isinstance(value, complex):
        if cmath.isnan(value):
            raise NoNumber("nan")
        return value.real if abs(value.imag) <= 1e-12 * max(1.0, abs(value.real)) else value
    if isinstance(value, float) and math.isnan(value):
        raise NoNumber("nan")
    return value


def unary(name: str, x: Number) -> Number:
    """The value of a function of one number, by its name in a tree."""
    if name == "sqrt":
        return power(x, Fraction(1, 2))
    if name == "cbrt":
        return binary("root", x, Fraction(3))
    if name == "abs":
        return abs(x)
    if name in ("floor", "ceil", "sign"):
        [size] = reals([x])
        whole = {"floor": math.floor, "ceil": math.ceil, "sign": lambda r: (r > 0) - (r < 0)}[name](size)
        return Fraction(whole)
    if name == "factorial":
        if not isinstance(x, Fraction) or x.denominator != 1 or not 0 <= x <= MAX_FACTORIAL:
            return math.gamma(float(reals([x])[0]) + 1)
        return Fraction(math.factorial(int(x)))
    if name == "log":
        return cmath.log(x)
    if name in COMPLEX:
        return real(COMPLEX[name](complex(x)))
    raise NoNumber(name)


def binary(name: str, x: Number, y: Number) -> Number:
    """The value of a function of two numbers: a logarithm to a base, a root of a degree, a remainder, a binomial."""
    if name == "log":
        return _logarithm(x, y)
    if name == "root":
        [degree] = reals([y])
        if not isinstance(x, complex) and x < 0 and degree == int(degree) and int(degree) % 2:
            return -power(-x, 1 / degree)
        return power(x, 1 / degree)
    if name == "mod":
        left, right = reals([x, y])
        return left % right
    if name == "binomial":
        return _binomial(*reals([x, y]))
    raise NoNumber(name)


def _binomial(n: Fraction | float, k: Fraction | float) -> Number:
    if all(isinstance(z, Fraction) and z.denominator == 1 for z in (n, k)) and 0 <= k <= n <= 2_000:
        return Fraction(math.comb(int(n), int(k)))
    return math.gamma(float(n) + 1) / math.gamma(float(k) + 1) / math.gamma(float(n - k) + 1)


def _logarithm(x: Number, base: Number) -> Number:
    found = real(cmath.log(x) / cmath.log(base))
    if isinstance(found, float) and isinstance(x, Fraction) and isinstance(base, Fraction):
        near = round(found)
        if abs(near) < 64 and _whole_power(base, near) == x:
            return Fraction(near)
    return found


def reals(operands: list[Number]) -> list[Fraction | float]:
    """The numbers without their imaginary parts. Raises NoNumber where one is complex or infinite."""
    found = []
    for x in operands:
        x = real(x)
        if isinstance(x, complex) or not math.isfinite(x):
            raise NoNumber("expected a finite real number")
        found.append(x)
    return found


def gcd(a: Number, b: Number) -> Fraction:
    """Greatest common divisor of fractions; 1 where a side is irrational, as sympy has it."""
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        return Fraction(1)
    bottom = math.lcm(a.denominator, b.denominator)
    return Fraction(math.gcd(int(a * bottom), int(b * bottom)), bottom)


def lcm(a: Number, b: Number) -> Number:
    """Least common multiple of fractions; the product where a side is irrational."""
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        return a * b
    if a == 0 or b == 0:
        return Fraction(0)
    return counted(abs(a * b) / gcd(a, b))
