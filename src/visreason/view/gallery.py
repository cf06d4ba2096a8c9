"""The problems a report shows: picture, question, gold answer, and what each run thought and answered."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from visreason.errors import DataError
from visreason.names import OFFICIAL
from visreason.prompt import open_image, style
from visreason.record import Image, Problem, Sample
from visreason.stats import TRIAL_OF, by_problem
from visreason.view.numbers import family, level
from visreason.view.runs import RunView

MAX_SIDE = 512
MAX_CHARS = 8_000
"""Of a text that is shown; what is between its beginning and its end is left out."""
MAX_ATTEMPTS = 8
"""Runs whose texts are shown; of further ones whether they were right."""


@dataclass(frozen=True)
class Attempt:
    """What one run made of a problem: its first completion, and how many of them were right."""

    label: str
    thought: str | None
    answer: str | None
    read: str | None
    correct: bool
    reason: str
    right: int
    asked: int


@dataclass(frozen=True)
class Exhibit:
    """A problem with its pictures (data URIs, or None for one that can't be read), every run's attempt, and of further
    runs the labels by outcome."""

    problem: Problem
    family: str
    level: str
    images: list[str | None]
    attempts: list[Attempt]
    further: list[tuple[str, list[str]]]


def gallery(runs: Sequence[RunView], limit: int) -> list[Exhibit]:
    """Up to `limit` problems in turn from every family, first those whose verdict the runs differ in.

    Files number their problems alike, so a problem is told by its benchmark, id and question. The choice depends on the
    records alone: the same runs give the same gallery.
    """
    groups: dict[tuple[str, str, str], list[tuple[RunView, list[Sample]]]] = {}
    for run in runs:
        for name, group in by_problem(run.samples).items():
            question = "" if TRIAL_OF in group[0].problem.meta else group[0].problem.question
            groups.setdefault((str(run.recipe.get("bench")), name, question), []).append((run, group))
    change = {key: _change([g for _, g in attempts]) for key, attempts in groups.items()}
    families: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for key in sorted(groups, key=lambda key: (-change[key], _digest(key[1]))):
        families.setdefault((key[0], family(_shown(groups[key]))), []).append(key)
    turns = zip_longest(*(families[name] for name in sorted(families)))
    chosen = [key for turn in turns for key in turn if key is not None][:limit]
    return [_exhibit(_shown(groups[key]), groups[key]) for key in chosen]


def _shown(attempts: list[tuple[RunView, list[Sample]]]) -> Problem:
    """The problem as the last run has it."""
    return attempts[-1][1][-1].problem


def data_uri(image: Image) -> str | None:
    """The picture within 512 x 512 pixels for embedding in HTML, None when it can't be read."""
    try:
        picture = open_image(image)
    except DataError:
        return None
    small = max(picture.size) <= MAX_SIDE
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    data = io.BytesIO()
    picture.save(data, "PNG" if small else "JPEG", quality=85)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def _change(attempts: list[list[Sample]]) -> float:
    """How far the runs' shares of right completions lie apart."""
    shares = [sum(s.score.correct for s in group) / len(group) for group in attempts]
    return max(shares) - min(shares)


def _exhibit(problem: Problem, attempts: list[tuple[RunView, list[Sample]]]) -> Exhibit:
    images = [data_uri(image) for image in problem.images]
    shown = [_attempt(r, g) for r, g in attempts[:MAX_ATTEMPTS]]
    further: dict[str, list[str]] = {}
    for run, group in attempts[MAX_ATTEMPTS:]:
        right = sum(s.score.correct for s in group)
        outcome = "right" if right == len(group) else "at times right" if right else "not right"
        further.setdefault(outcome, []).append(run.label)
    return Exhibit(problem, family(problem), level(problem), images, shown, sorted(further.items()))


def _attempt(run: RunView, group: list[Sample]) -> Attempt:
    """The first completion; of a training run the last, since its policy changes."""
    shown = group[-1] if run.rollouts else group[0]
    name = str(run.recipe.get("style", "awaker"))
    parsed = style("hint" if name == OFFICIAL else name).parse(shown.completion.text)
    right = sum(s.score.correct for s in group)
    score = shown.score
    thought, answer, read = map(shortened, (parsed.thought, parsed.answer, score.answer))
    return Attempt(run.label, thought, answer, read, score.correct, score.reason, right, len(group))


def shortened(text: str | None) -> str | None:
    """A text that a page can hold.

    >>> shortened("ab"), len(shortened("a" * 10**6) or "")
    ('ab', 8023)
    """
    if text is None or len(text) <= MAX_CHARS:
        return text
    half = MAX_CHARS // 2
    return f"{text[:half]} … {len(text) - MAX_CHARS} characters … {text[-half:]}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
