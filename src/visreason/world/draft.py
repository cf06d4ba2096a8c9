"""A problem before it is painted: what a form of question returns, and the two ways to build one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

AnswerType = Literal["number", "word", "choice"]
Paint = Callable[[], np.ndarray]
LETTERS = "ABCD"
COLUMNS = "abcd"
"""Names of the columns of cells. A thought that reads them in turn names each, or loses its place (docs/log.md)."""
EMPTY = "empty"
"""What a cell without a thing is called."""


Cell = tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """What a picture shows: its formal description, one or two words for what stands in each (row, column) of the
    picture's 4 x 4 cells, and the function that paints it. `tall` things fill cells of one column.
    """

    description: str
    cells: Mapping[Cell, tuple[str, ...]]
    paint: Paint
    tall: bool = False


@dataclass(frozen=True)
class Draft:
    """Text of a problem and a function that paints its picture, so that a draft thrown away is never painted.

    `guess` has the form of the answer but was drawn without looking at the scene.
    """

    question: str
    answer: str
    thought: str
    scene: Scene
    guess: str
    answer_type: AnswerType = "number"
    choices: tuple[str, ...] = ()


Form = Callable[[Random, int], Draft]
"""A form of question: a problem of a level (1, 2, 3) from random numbers."""
Forms = dict[int, dict[str, Form]]
"""The forms of a family by level and name."""


def asks_number(
    rng: Random, scene: Scene, question: str, answer: int, thought: str, span: Sequence[int]
) -> Draft:
    """A problem with a number for an answer; `span` holds the answers plausible without the picture."""
    return Draft(question, str(answer), thought, scene, str(rng.choice(span)))


def asks_word(
    rng: Random, scene: Scene, question: str, answer: str, thought: str, words: Sequence[str]
) -> Draft:
    """A problem with one of `words` for an answer."""
    return Draft(question, answer, thought, scene, rng.choice(words), "word")


def asks_choice(
    rng: Random, scene: Scene, question: str, answer: str, thought: str, options: Sequence[str]
) -> Draft:
    """A multiple-choice problem: options are shuffled, and the thought goes on to the right one's letter."""
    choices = tuple(rng.sample(options, len(options)))
    letter = LETTERS[choices.index(answer)]
    guess = rng.choice(LETTERS[: len(choices)])
    thought = f"{thought} {answer} is {letter}."
    return Draft(question, letter, thought, scene, guess, "choice", choices)


def add_up(numbers: Sequence[int]) -> str:
    """A sum in steps of two numbers.

    >>> add_up([3, 5, 2])
    '3 + 5 = 8. 8 + 2 = 10.'
    """
    total, steps = numbers[0], []
    for number in numbers[1:]:
        steps.append(f"{total} + {number} = {total + number}.")
        total += number
    return " ".join(steps)


def take_away(start: int, numbers: Sequence[int]) -> str:
    """A subtraction in steps of one number.

    >>> take_away(180, [50, 60])
    '180 - 50 = 130. 130 - 60 = 70.'
    """
    steps = []
    for number in numbers:
        steps.append(f"{start} - {number} = {start - number}.")
        start -= number
    return " ".join(steps)
