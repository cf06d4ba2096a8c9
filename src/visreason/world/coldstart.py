"""Cold-start data: each problem answered in several ways, as base models answer, so that reinforcement has a choice.

Of the answers, REASONED read the picture and work the answer out, LOOSE do so without the style's marks, and the rest
are hasty: laid out well, but guessed without looking.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from visreason.prompt import Style
from visreason.record import Completion, Problem, Sample, Score
from visreason.store import read_records, write_records
from visreason.world.draft import LETTERS
from visreason.world.problems import TURN

HASTY_THOUGHT = "I guess."
LOOSE = 0.2
"""Share of the worked answers that are not laid out as the style asks."""
HASTY = (1, 2)
"""Hasty answers beside each worked one, in turn: 60 % of all on average."""


def write(problems: Path, style: Style, seed: int = 0) -> Path:
    """Samples beside a file of drawn problems, as `coldstart.jsonl`: one worked and one or two hasty answers each."""
    path = problems.with_name("coldstart.jsonl")
    write_records(
        path, (s for i, p in enumerate(read_records(problems, Problem)) for s in _answers(p, i, style, seed))
    )
    return path


def _answers(problem: Problem, index: int, style: Style, seed: int) -> Iterator[Sample]:
    rng = Random(f"visreason cold start {seed} {problem.id}")
    thought, answer = problem.thought or "", problem.answer or ""
    worked = f"{thought} The answer is {answer}." if rng.random() < LOOSE else style.target(thought, answer)
    yield _sample(problem, worked, answer)
    for _ in range(HASTY[index // TURN % len(HASTY)]):
        guess = rng.choice((problem.choices and LETTERS[: len(problem.choices)]) or (problem.meta["guess"],))
        yield _sample(problem, style.target(HASTY_THOUGHT, guess), guess)


def _sample(problem: Problem, text: str, answer: str) -> Sample:
    right = answer == problem.answer
    score = Score(float(right), answer, "exact" if right else "wrong")
    return Sample(problem, Completion(text, model="world"), score)
