"""check() never raises and never hangs, whatever a model writes."""

import json
import random
import threading
import time
from pathlib import Path

from visreason.answer import check
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
    "9^9^9", "1e99",
)  # fmt: skip
LONG = 300_000


def responses():
    folder = Path(__file__).parent / "cases"
    return [
        row["response"] for f in sorted(folder.glob("*.json")) for row in json.loads(f.read_text("utf-8"))
    ]


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


def test_mutated_responses_never_raise():
    rng = random.Random(0)
    seeds = responses()
    for i in range(2000):
        text = mutated(rng.choice(seeds), rng)
        score = check(PROBLEMS[i % len(PROBLEMS)], text, rng.choice(("stop", "length")))
        assert score.value == float(score.correct)


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
