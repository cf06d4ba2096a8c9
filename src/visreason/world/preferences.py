"""Pairs of drawn problems: the worked solution against a guess, or against one that slips at its end.

A slip thinks as the worked solution does and then gives another answer, of the same form and length: the sides differ
in one word, and a reward model that counts words or likes thoughts can't tell them apart. Thoughts that misread their
picture were tried and left out: to check them takes a tiny model more pairs than a demo has time for (docs/log.md).
"""

from pathlib import Path
from random import Random

from visreason.prompt import Style
from visreason.record import Completion, Pair, Problem
from visreason.store import read_records, write_records
from visreason.world.coldstart import HASTY_THOUGHT, LOOSE
from visreason.world.draft import LETTERS
from visreason.world.pen import COLORS

SLIPS = 0.5
"""Share of the pairs whose rejected side slips; of the others it guesses."""


def write(problems: Path, style: Style, seed: int = 0) -> Path:
    """A pair of each problem of a file, beside it as `{name}_pairs.jsonl`; returns the file's path."""
    path = problems.with_name(f"{problems.stem}_pairs.jsonl")
    write_records(path, (pair(p, style, seed) for p in read_records(problems, Problem)))
    return path


def pair(problem: Problem, style: Style, seed: int = 0) -> Pair:
    """The problem's pair. Both sides have the same layout, which now and then is not the style's."""
    rng = Random(f"visreason pairs {seed} {problem.id}")
    loose, slip = rng.random() < LOOSE, rng.random() < SLIPS
    thought, right, wrong = problem.thought or "", problem.answer or "", _other(problem, rng)
    sides = ((thought, right), (thought if slip else HASTY_THOUGHT, wrong))
    chosen, rejected = (
        Completion(f"{t} The answer is {a}." if loose else style.target(t, a), model="world")
        for t, a in sides
    )
    return Pair(problem, chosen, rejected, 0.5 if slip else 1.0)


def _other(problem: Problem, rng: Random) -> str:
    """Another answer of the same form: a letter, a number that differs in its first digit, or a colour."""
    answer = problem.answer or ""
    if problem.choices:
        return rng.choice([c for c in LETTERS[: len(problem.choices)] if c != answer])
    if answer.isdigit():
        return rng.choice([d for d in "123456789" if d != answer[0]]) + answer[1:]
    return rng.choice([c for c in COLORS if c != answer])
