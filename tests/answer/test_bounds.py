"""check() never raises and never hangs, whatever a model writes."""

import contextlib
import json
import random
import resource
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visreason.answer import check
from visreason.errors import DataError
from visreason.record import Problem

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
    """Check mutated responses; returns the longest time in seconds."""
    rng = random.Random(seed)
    seeds = responses()
    longest = 0.0
    for i in range(count):
        text = mutated(rng.choice(seeds), rng)
        started = time.perf_counter()
        score = check(PROBLEMS[i % len(PROBLEMS)], text, rng.choice(("stop", "length")))
        longest = max(longest, time.perf_counter() - started)
        assert score.value == float(score.correct)
    return longest


def test_mutated_responses_never_raise():
    fuzz(2_000, seed=0)


@pytest.mark.slow
def test_200000_mutated_responses_neither_raise_nor_hang_nor_grow():
    fuzz(20_000, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(180_000, seed=2) < 5
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


def test_long_repetitions_take_bounded_time():
    open_question, _, choice = PROBLEMS
    for piece in PIECES:
        for problem, text in (
            (open_question, piece * (LONG // len(piece))),
            (choice, "<answer>" + piece * 5000 + "!</answer>"),
        ):
            started = time.perf_counter()
            check(problem, text)
            assert time.perf_counter() - started < 5, piece


def test_it_works_off_the_main_thread():
    scores = []
    thread = threading.Thread(target=lambda: scores.append(check(PROBLEMS[0], r"\boxed{0.5}")))
    thread.start()
    thread.join()
    assert scores[0].reason == "numeric"
