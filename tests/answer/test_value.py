import math
from fractions import Fraction

import pytest

from visreason.answer.normalize import normalize
from visreason.answer.value import value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("-7", -7),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("-\\frac{3}{4}", Fraction(-3, 4)),
        ("2\\frac{1}{2}", Fraction(5, 2)),
        ("2(3+4)", 14),
        ("2^{10}", 1024),
        ("2^{-1}", Fraction(1, 2)),
        ("\\sqrt{16}", 4),
        ("\\sqrt[3]{27}", 3.0),
        ("1.5e3", 1500),
        ("3*10^2", 300),
        ("1+2*3-4/2", 5),
        ("--5", 5),
        ("[5]", 5),
        ("2\\pi", 2 * math.pi),
        ("\\frac{\\sqrt{3}}{2}", math.sqrt(3) / 2),
    ],
)
def test_expressions_have_values(text, number):
    assert value(text) == pytest.approx(number, rel=1e-12)


def test_rational_values_are_exact():
    assert value("\\frac{1}{3}+\\frac{1}{6}") == Fraction(1, 2)
    assert value("0.1+0.2") == Fraction(3, 10)


@pytest.mark.parametrize(
    "text",
    ["", "x", "2x", "1/0", "(1", "1)", "1,2", "\\frac{1}", "2^", "9^9^9^9", "1e9999", "9" * 500, "(" * 90,
     "+"],
)  # fmt: skip
def test_what_is_no_number_has_no_value(text):
    assert value(text) is None


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("$\\dfrac12$", "\\frac{1}{2}"),
        ("\\boxed{\\text{Red}}.", "red"),
        ("1{,}234", "1234"),
        ("1 234 567", "1234567"),
        ("\\$15,\\!000", "15000"),
        ("40^\\circ", "40"),
        ("33 \\%", "33%"),
        ("x^{2}", "x^2"),
        ("１２", "12"),
        ("−3", "-3"),
        ("\\left( 3, \\tfrac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})"),
        ("\\begin{bmatrix}1\\\\2\\end{bmatrix}", "\\begin{matrix}1\\\\2\\end{matrix}"),
        ("(1)(2)", "(1)(2)"),
        ("$1$ and $2$", "1and2"),
    ],
)
def test_answers_that_mean_the_same_are_spelled_the_same(text, spelling):
    assert normalize(text) == spelling
    assert normalize(spelling) == spelling
