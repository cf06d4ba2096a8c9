import pytest

from visreason.answer import check
from visreason.answer.parse import parse
from visreason.record import Problem


@pytest.mark.parametrize(
    "text",
    [
        "Integral(x, ())",
        "Integral(x, (2, 0, 1))",
        "Sum(k, ())",
        "Product(k, (k + 1, 1, 2))",
        "Limit(x, 2, 0)",
        "Limit(x, (), 0)",
    ],
)
def test_a_call_without_a_variable_is_no_mathematics(text):
    assert parse(text, True) is None
    assert not check(Problem("p", "?", answer=text, meta={"gold_syntax": "sympy"}), r"\boxed{5}").correct


def test_calls_of_a_program_are_read():
    assert parse("Integral(x, (x, 0, 1))", True)[2] == "x"
    assert parse("Integral(x, x)", True)[2:] == ("x", None, None)
    assert parse("Limit(1/x, x, 0)", True)[0] == "lim"
