"""check() never raises and never hangs, whatever a model writes."""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visreason.answer import check, grade, sandbox
from visreason.answer.arithmetic import MAX_BITS, NoNumber
from visreason.answer.budget import MAX_STEPS, SYMBOLIC_S, bounded
from visreason.answer.compute import number
from visreason.answer.parse import parse
from visreason.answer.prose import values
from visreason.answer.solution import READ_CHARS
from visreason.errors import DataError
from visreason.record import Problem, Score

PROBLEMS = (
    Problem("v", "Q?", answer=r"\frac{1}{2}"),
    Problem("l", "Q?", answer="(1, 2), (3, 4)"),
    Problem("c", "Q?", answer="B", choices=("red", "blue car", "$\\frac{1}{2}$")),
)
PIECES = (
    *"0123456789 \n.,;:()[]{}<>$\\^_=+-*/%°√π½²或A B",
    "\\boxed{", "\\frac{", "\\sqrt{", "\\text{", "\\left(", "\\[", "\\(", "$$", "\\begin{pmatrix}",
    "<think>", "</think>", "<answer>", "</answer>", "<|begin_of_thought|>", "<|end_of_thought|>", "<|im_end|>",
    "The answer is ", "Answer:", "option ", "(B)", " or ", "blue car", "\u200b", "\ud83d\ude00", "\x00",
    "9^9^9", "1e99", "\\int", "\\sum_{k=1}^{9}", "dx", "\\lim_{x \\to 0}", "\\pm", "\\cup", "x", "y^{2}", "\\sin",
    "\\log_", "\\gcd(", "!", "2^{2^{2^{49}}}", "&", "\\\\", "\\end{pmatrix}", "|", "__import__('os')", "≈", "不是",
    "print(", "import os\n",
)  # fmt: skip
LONG = 300_000
OVERRUN = Score(0.0, None, "errored", {"overrun": 1.0})


def responses():
    folder = Path(__file__).parent / "cases"
    files = (folder / "value.json", folder / "choice.json")
    return [row["response"] for f in files for row in json.loads(f.read_text("utf-8"))]


def mutated(text, rng):
    """The text with a few stretches deleted, doubled, or replaced by pieces that mean something to the checker."""
    for _ in range(rng.randint(1, 6)):
        a, b = sorted(rng.randint(0, len(text)) for _ in range(2))
        text = rng.choice(
            [
                text[:a] + text[b:],
                text[:b] + text[a:],
                text[:a] + rng.choice(PIECES) * rng.choice((1, 2, 50)) + text[a:],
                text[:a] + text[a:b][::-1] + text[b:],
            ]
        )[:3000]
    return text


def fuzz(count, seed):
    """Check mutated responses."""
    rng = random.Random(seed)
    seeds = responses()
    for i in range(count):
        text = mutated(rng.choice(seeds), rng)
        score = check(PROBLEMS[i % len(PROBLEMS)], text, rng.choice(("stop", "length")))
        assert score.value == float(score.correct)


def test_mutated_responses_never_raise():
    fuzz(2_000, seed=0)


@pytest.mark.slow
def test_200000_mutated_responses_neither_raise_nor_hang_nor_grow():
    fuzz(20_000, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzz(180_000, seed=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # kB


TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=60).map("".join),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TEXTS, st.sampled_from(PROBLEMS), st.sampled_from(("stop", "length", "error")))
def test_any_text_has_a_verdict(text, problem, finish):
    score = check(problem, text, finish)
    assert score.value == float(score.correct)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TEXTS)
def test_any_gold_answer_is_right_or_an_error_of_the_data(gold):
    problem = Problem("p", "Q?", answer=gold)
    with contextlib.suppress(DataError):
        check(problem, gold)


ARGUMENTS = st.sampled_from(
    ("x", "k", "2", "oo", "x**2", "()", "(x)", "(x, 0, 1)", "(2, 0, 1)", "[]", "[[1, 2], [3]]")
)
CALLS = st.sampled_from(
    ("Integral", "Sum", "Product", "Limit", "Matrix", "Interval", "Eq", "Union", "FiniteSet")
)
OUTPUTS = st.recursive(
    ARGUMENTS,
    lambda inner: st.builds(
        lambda name, arguments: f"{name}({', '.join(arguments)})", CALLS, st.lists(inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=400)
@given(OUTPUTS, TEXTS)
def test_any_output_of_a_program_can_be_a_gold_answer(gold, response):
    with contextlib.suppress(DataError):
        check(Problem("p", "Q?", answer=gold, meta={"gold_syntax": "sympy"}), response)


REPEATED = (
    *PIECES,
    "1,111",
    ",111",
    "12, ",
    "1 a and ",
    "than ",
    "ab, ",
    "1:",
    "1/",
    "A, ",
    "if ",
    "is a ",
    "(1,2)",
    "from 1 to ",
    "minus ",
)
"""Also what one expression or another would try again from every place."""


ALLOWED_S = 3.0
"""Processor time over which the child below ends, ten times of what its longest check takes."""


def test_long_repetitions_are_checked_within_an_allowance_of_processor_time():
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    code = "from tests.answer.test_bounds import check_repetitions; check_repetitions()"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def check_repetitions():
    for piece in REPEATED:
        print(repr(piece), flush=True)
        repeated = piece * ((READ_CHARS - 20) // len(piece))  # so that what stands round it is read too
        for problem, text in (
            (PROBLEMS[0], "so 5 " + piece * (LONG // len(piece)) + " then"),
            (PROBLEMS[0], f"A{repeated}!"),
            (PROBLEMS[2], f"<answer>{repeated}!</answer>"),
            (PROBLEMS[2], f"A{repeated}!"),
        ):
            signal.setitimer(signal.ITIMER_PROF, ALLOWED_S)
            check(problem, text)


def test_what_a_number_is_compared_with_stands_right_before_it():
    assert values("it is more than 5", compared=False) == []
    assert values("it is more than" + 20 * " " + "5", compared=False) == ["5"]


def test_it_works_off_the_main_thread():
    scores = []
    thread = threading.Thread(target=lambda: scores.append(check(PROBLEMS[0], r"\boxed{0.5}")))
    thread.start()
    thread.join()
    assert scores[0].reason == "numeric"


NUMBERS = st.fractions(max_denominator=10**30).map(lambda f: ("num", f))
SERIES = st.tuples(
    st.sampled_from(("sum", "prod")), st.just(("^", ("sym", "k"), ("num", Fraction(90)))), st.just("k"),
    st.just(("num", Fraction(1))), st.integers(1, 200).map(lambda n: ("num", Fraction(n))),
)  # fmt: skip
EXPRESSIONS = st.recursive(
    NUMBERS | SERIES,
    lambda inner: (
        st.tuples(st.sampled_from("+*/^"), inner, inner)
        | st.tuples(st.just("call"), st.sampled_from(("gcd", "lcm", "max", "mod")), inner, inner)
    ),
    max_leaves=40,
)


@settings(max_examples=150)
@given(EXPRESSIONS)
def test_no_number_has_more_digits_than_the_limit(tree):
    with contextlib.suppress(NoNumber):
        found = number(tree, {})
        assert not isinstance(found, Fraction) or found.numerator.bit_length() <= MAX_BITS


def test_terms_and_digits_are_counted():
    steps = {}
    for text in (r"\sum_{k=1}^{10} k", r"\sum_{k=1}^{100} k", r"\sum_{k=1}^{100} k^{90}"):
        with bounded() as budget:
            number(parse(text), {})
        steps[text] = MAX_STEPS - budget.steps
    few, many, long = steps.values()
    assert many > 9 * few
    assert long > 2 * many


def test_a_check_that_would_compare_long_series_with_each_other_is_given_up():
    series = [rf"\sum_{{k=1}}^{{200}}\frac{{{i}}}{{k^2+{i}}}" for i in range(1, 31)]
    assert (
        grade(rf"\boxed{{{', '.join(series)}}}", ", ".join(s.replace("200", "199") for s in series))
        == OVERRUN
    )


def test_accepted_answers_share_the_budget():
    problem = Problem("p", "q?", answer="1", meta={"accepted": [f"n_{{{i}}}" for i in range(1000)]})
    assert check(problem, "word " * 2_000 + r"\boxed{2}") == OVERRUN


@pytest.fixture
def asked(monkeypatch):
    """Questions that reach a child, none of which is answered in less than half a second."""
    questions = []
    monkeypatch.setattr(
        sandbox._Child, "ask", lambda self, q: questions.append(q) or {"equal": False, "seconds": 0.5}
    )
    return questions


def test_a_list_of_integrals_asks_no_more_than_the_budget_allows(asked):
    integrals = [rf"\int_0^1 x^{{{i}}} e^{{x^2}} dx" for i in range(20)]
    golds = ", ".join(i.replace("e^", "3^") for i in integrals)
    assert grade(rf"\boxed{{{', '.join(integrals)}}}", golds) == OVERRUN
    assert len(asked) <= SYMBOLIC_S / 0.5 + 1
    assert asked[-1][0] < sandbox.TIMEOUT_S


def test_many_options_ask_no_more_than_the_budget_allows(asked):
    choices = tuple(rf"$\int_0^{{{i}}} e^{{x^2}} dx$" for i in range(1, 25))
    assert check(Problem("p", "q?", answer="B", choices=choices), r"\boxed{\int_0^1 3^{x^2} dx}") == OVERRUN
    assert len(asked) <= SYMBOLIC_S / 0.5 + 1
