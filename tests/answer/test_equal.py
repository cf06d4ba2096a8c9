import pytest

from visreason.answer.equal import equal
from visreason.answer.rules import Rules


@pytest.mark.parametrize(
    ("gold", "answer", "rule"),
    [
        ("2x+2", "2(x+1)", "symbolic"),
        ("(x-1)(x+1)", "x^2-1", "symbolic"),
        (r"\tan^2(y)+1", r"\sec^2(y)", "symbolic"),
        (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", "numeric"),
        (r"\log_2 8", "3", "numeric"),
        (r"\binom{5}{2}", "10", "numeric"),
        ("5!", "120", "numeric"),
        (r"\sum_{k=1}^{4} k", "10", "numeric"),
        (r"e^{i\pi}", "-1", "numeric"),
        (r"3+2i", r"2i+3", "numeric"),
        (r"0.\overline{3}", r"\frac13", "numeric"),
        ("5 m", "500 cm", "numeric"),
        ("1 hour", "60 minutes", "numeric"),
        ("2 m^2", "20000 cm^2", "numeric"),
        ("twelve", "12", "numeric"),
        ("25", "twenty-five", "numeric"),
        (r"1 \pm \sqrt{2}", r"1+\sqrt{2}, 1-\sqrt{2}", "set"),
        (r"\{1,2,3\}", r"\{3, 2, 1\}", "set"),
        ("x > 5", r"(5, \infty)", "symbolic"),
        ("-2 \\le x < 7", "[-2, 7)", "symbolic"),
        ("0<f(x)<1", "(0,1)", "symbolic"),
        ("2 > x", "x < 2", "symbolic"),
        ("x^2+y^2=1", "1-x^2-y^2=0", "symbolic"),
        ("f(x) = 2x+3", "y = 2x+3", "exact"),
        (r"\begin{pmatrix}1 & 1/2\end{pmatrix}", r"\begin{bmatrix}1 & 0.5\end{bmatrix}", "symbolic"),
        (r"\int_0^1 x\,dx", r"\frac{1}{2}", "symbolic"),
        (r"\lim_{x \to 0} \frac{\sin x}{x}", "1", "symbolic"),
        ("1:4", r"\frac{1}{4}", "numeric"),
        ("1:02:03", "01:02:03", "numeric"),
        ("1:02:03", "1 h 2 min 3 s", "numeric"),
        ("1:02:03", "3723 seconds", "numeric"),
        ("2:30 pm", "14:30", "numeric"),
        ("8:30", "8:30 a.m.", "numeric"),
        ("90 minutes", "1 hour and 30 minutes", "numeric"),
        ("5 feet 3 inches", "63 in", "numeric"),
        ("5'3\"", "63 inches", "numeric"),
        ("2小时30分钟", "150分钟", "numeric"),
        ("1:2:3", "2:4:6", "numeric"),
        ("$5", "500 cents", "numeric"),
        (r"\$5", "5", "numeric"),
        ("£5", "5 pounds", "exact"),
        ("$1.2 million", "1200000", "numeric"),
        (r"\{1+2\}\{3-x\}", "9-3x", "symbolic"),
        (r"\int \{x dx\}", r"\int x dx", "symbolic"),
        (r"\int_0^1 \{x dx\}", "1/2", "symbolic"),
        (r"17 \mod 2(3)", "5", "numeric"),
        ("2^{2007}", "2 \\cdot 2^{2006}", "numeric"),
    ],
)
def test_what_means_the_same_is_equal(gold, answer, rule):
    assert equal(gold, answer) == rule


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x+1", "x-1"),
        ("|x|", "x"),
        (r"\sqrt{x^2}", "x"),
        ("x > 5", "x < 5"),
        ("x^2+y^2=1", "x^2+y^2=2"),
        ("5 m", "5 kg"),
        ("5 m", "50 cm"),
        ("(1, 2)", "(2, 1)"),
        ("[0, 1)", "[0, 1]"),
        ("no", "on"),
        ("a god", "a dog"),
        (r"\{1, 2\}", r"\{1, 2, 3\}"),
        (r"\begin{pmatrix}1 & 2\end{pmatrix}", r"\begin{pmatrix}2 & 1\end{pmatrix}"),
        (r"\int_0^1 x\,dx", r"\frac{1}{3}"),
        ("1", "2^{2^{2^{49}}}"),
        ("40", "40-50"),
        ("1:02:03", "1:03:02"),
        ("2:30", "1:15"),
        ("4:30 pm", "4:30"),
        ("8:30 am", "8:30 pm"),
        ("1:2:3", "1:2:4"),
        ("1 h 30 min", "90"),
        ("£5", "$5"),
        ("5 euros", "5 dollars"),
        ("60\\pi", "188.496"),
        ("2024^{4046}", "2024^{4045}"),
    ],
)
def test_what_differs_is_not_equal(gold, answer):
    assert equal(gold, answer) is None


def test_conventions_are_stated_by_the_rules():
    assert equal("0.28", "28") is None
    assert equal("0.28", "28", Rules(times_100=True)) == "numeric"
    assert equal("1/2", "2/4") == "numeric"
    assert equal("1/2", "2/4", Rules(reduced=True)) is None
    assert equal("7", "7.1") is None
    assert equal("7", "7.1", Rules(precision=0.1)) == "numeric"
    assert equal("5", "500 cents") is None
    assert equal("5", "500 cents", Rules(unit="dollars")) == "numeric"
    assert equal("5", "5", Rules(unit="dollars")) == "exact"
    assert equal("5", "5 kg", Rules(unit="g")) is None
    assert equal(r"x \in [1,2]", "1 <= x <= 2") == "symbolic"
    assert equal(r"x \in [1,2]", "1 <= x <= 2", Rules(relations=False)) is None
    assert equal("2*x**2", "2x^2", Rules(python=True)) == "symbolic"
