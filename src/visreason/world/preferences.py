"""Pairs of drawn problems: the worked solution against one that misreads the picture, or against a guess.

A misread thought is the worked solution of a like picture: the same question, as many words, as few of them other ones
as could be found, and another answer. So it is sound in itself, and only the picture tells that it is wrong.
"""

from pathlib import Path
from random import Random

from visreason.prompt import Style
from visreason.record import Completion, Pair, Problem
from visreason.store import read_records, write_records
from visreason.world.coldstart import HASTY_THOUGHT, LOOSE
from visreason.world.draft import LETTERS, Draft
from visreason.world.problems import FAMILIES

MISREAD = 0.7
"""Share of the pairs whose rejected side misreads; of the others it guesses."""
ATTEMPTS, NEAR = 150, 2
"""Pictures looked at for a like one, and how many other words are few enough to stop."""


def write(problems: Path, style: Style, seed: int = 0) -> Path:
    """A pair of each problem of a file, beside it as `{name}_pairs.jsonl`; returns the file's path."""
    path = problems.with_name(f"{problems.stem}_pairs.jsonl")
    write_records(path, (pair(p, style, seed) for p in read_records(problems, Problem)))
    return path


def pair(problem: Problem, style: Style, seed: int = 0) -> Pair:
    """The problem's pair. Both sides have the same layout, which now and then is not the style's."""
    rng = Random(f"visreason pairs {seed} {problem.id}")
    loose = rng.random() < LOOSE
    like = misread(problem, rng) if rng.random() < MISREAD else None
    thought, answer = (like.thought, like.answer) if like else (HASTY_THOUGHT, _wrong(problem, rng))
    sides = ((problem.thought or "", problem.answer or ""), (thought, answer))
    chosen, rejected = (
        Completion(f"{t} The answer is {a}." if loose else style.target(t, a), model="world")
        for t, a in sides
    )
    return Pair(problem, chosen, rejected, 0.5 if like else 1.0)


def misread(problem: Problem, rng: Random) -> Draft | None:
    """A like picture's problem: see above; None where ATTEMPTS have none."""
    meta = problem.meta
    form = FAMILIES[meta["family"]][meta["level"]][meta["form"]]
    words = (problem.thought or "").split()
    best, fewest = None, len(words) + 1
    for _ in range(ATTEMPTS):
        found = form(rng, meta["level"])
        other = found.thought.split()
        same = (found.question, found.choices) == (problem.question, problem.choices)
        if not same or found.answer == problem.answer or len(other) != len(words):
            continue
        different = sum(a != b for a, b in zip(words, other, strict=True))
        if different < fewest:
            best, fewest = found, different
        if different <= NEAR:
            break
    return best


def _wrong(problem: Problem, rng: Random) -> str:
    """A guess that is not the answer."""
    if problem.choices:
        return rng.choice([c for c in LETTERS[: len(problem.choices)] if c != problem.answer])
    guess = problem.meta["guess"]
    if guess != problem.answer:
        return guess
    return str(int(guess) + rng.choice((1, 2))) if guess.isdigit() else "none"
