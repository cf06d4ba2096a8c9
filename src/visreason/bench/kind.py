"""What a benchmark is: data and a few small functions. Each lies in a file of its own; see `mathvista.py` for one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from visreason.errors import DataError
from visreason.prompt import Style
from visreason.record import Finish, Problem, Sample, Score
from visreason.stats import Interval

ALL = "ALL"
"""The column of all problems."""
BY_CHANCE, NEAREST = GUESSED = ("by chance", "nearest option")
"""Parts of the scores of answers that no one gave: an option that was drawn, and the one spelled most alike."""
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A row of a published file: its value, its key where the file is one object, and where it stands.

    >>> Row({"answer": "B"}, "17", Path("testmini.json"), 3).where
    'testmini.json 17'
    """

    value: Any
    key: str
    file: Path
    line: int

    @property
    def where(self) -> str:
        return f"{self.file.name} {self.key or f'line {self.line}'}"

    def get(self, *names: str) -> Any:
        """The first of these columns that is there and not empty."""
        row = self.value if isinstance(self.value, dict) else {}
        return next((row[n] for n in names if row.get(n) not in (None, "", [])), None)


def taken(read: Callable[[Row], T], row: Row) -> T:
    """What `read` makes of a row. Raises DataError for one unlike those that it was written for."""
    try:
        return read(row)
    except DataError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
        raise DataError(
            f"{row.where}: expected a row as its authors publish them, found another "
            f"({type(e).__name__}: {e}); correct it"
        ) from e


@dataclass(frozen=True)
class Rules:
    """Conventions that published figures of one benchmark differ in; `Bench.heeds` names those it knows."""

    integer: Literal["strict", "float"] = "strict"
    random_fallback: bool = False
    trials: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Given:
    """What a released row says of a problem: the response, what its authors extracted, and their verdict.

    >>> Given("17", "The answer is (B).", extraction="B").correct is None
    True
    """

    id: str
    response: str | None = None
    extraction: str | None = None
    correct: bool | None = None
    reward: float | None = None
    finish: Finish = "stop"


@dataclass(frozen=True)
class Judging:
    """How a language model reads and judges a response: texts, filled with {question}, {gold} and {response}.

    `extract` asks what a response answers, `read` takes it out of the reply (None: the reply is nonsense). With
    `verdict` a second text asks whether that is right (1 or 0); without it the benchmark's own scoring decides. What
    `direct` finds is not asked for.
    """

    extract: str
    read: Callable[[Problem, str], str | None]
    verdict: str | None = None
    direct: Callable[[Problem, str], str | None] = lambda problem, response: None


@dataclass(frozen=True)
class Published:
    """Figures that someone printed, in percent: of which model, where, and under which protocol."""

    model: str
    figures: Mapping[str, float]
    source: str


Scorer = Callable[[Problem, str, Rules], Score]


@dataclass(frozen=True)
class Bench:
    """A benchmark as data.

    `problem` reads a published row (None: the row belongs to another split); `given` a released output. `read` is the
    benchmark's own rule for finding the answer in a response, where it publishes one; elsewhere `answer/` reads and
    judges. `score` is its normalisation and comparison of an extraction. A problem counts in every column of
    `columns`, besides ALL; `aggregate` makes figures that are no plain shares. `unfold` makes several outputs of a row
    that holds them together. `sizes` are problems per split (0: not known), `files` where each split lies in the
    authors' folder, `outputs` which files of a folder of outputs are read. A missing extraction is wrong without
    `empty_scores`. `judging_open` is for problems without choices, where it differs. `trial` is what a judge of two
    answers is told ({question}, {first}, {second}); `heeds` are the `Rules` that make a difference. `headline` are the
    columns that tables show, `primary` the one that counts.
    """

    name: str
    title: str
    source: str
    sizes: Mapping[str, int]
    files: Mapping[str, tuple[str, ...]]
    problem: Callable[[Row], Problem | None]
    given: Callable[[Row], Given | None]
    score: Scorer
    columns: Callable[[Problem], Iterable[str]] = lambda problem: ()
    read: Callable[[Problem, str, Rules], str | None] | None = None
    aggregate: Callable[[list[Sample]], dict[str, Interval]] | None = None
    unfold: Callable[[Row], list[Row]] = lambda row: [row]
    trial: str | None = None
    prompt: Callable[[Problem], Style] | None = None
    judging: Judging | None = None
    judging_open: Judging | None = None
    heeds: tuple[str, ...] = ()
    outputs: str = "*.json*"
    empty_scores: bool = False
    primary: str = ALL
    headline: tuple[str, ...] = (ALL,)
    published: tuple[Published, ...] = field(default=())
