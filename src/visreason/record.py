"""The records that flow through every verb, and their JSON. Standard library only; pixels are never held.

Problem, (engine) Completion, (reward) Score, together a Sample; Sample, (pairs) Pair.
"""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from visreason.errors import DataError

Check = Literal["auto", "choice", "math", "exact", "box", "judge"]
Finish = Literal["stop", "length", "error"]
Reason = Literal[
    "exact",
    "numeric",
    "symbolic",
    "choice",
    "set",
    "box",
    "judged",
    "wrong",
    "unparsed",
    "truncated",
    "errored",
]
REASONS: tuple[str, ...] = typing.get_args(Reason)
CORRECT = REASONS[:7]
"""Reasons that say which rule found the answer right; the other reasons are failures of different kinds."""


@dataclass(frozen=True)
class Image:
    """A picture by reference: a path that can be opened, the sha256 of the file, and (width, height) in pixels.

    >>> to_json(Image("images/3f2a.png", sha256="3f2a", size=(112, 112)))
    {'path': 'images/3f2a.png', 'sha256': '3f2a', 'size': [112, 112]}
    """

    path: str
    sha256: str | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Problem:
    """A question about images (none, one or several) and its answer.

    `choices` are option texts in order, so `answer` is then a letter ("A" is the first) or an option's text.
    `description` is the picture in formal language, `thought` a worked solution, `meta` whatever else is known
    (source, category, abilities, level, subject, answer_type, precision, unit).

    >>> p = Problem("chart-7", "Which bar is highest?", (Image("7.png"),), "B", choices=("red", "blue"), check="choice")
    >>> from_json(Problem, to_json(p)) == p
    True
    >>> to_json(p)["choices"]
    ['red', 'blue']
    """

    id: str
    question: str
    images: tuple[Image, ...] = ()
    answer: str | None = None
    choices: tuple[str, ...] = ()
    check: Check = "auto"
    description: str | None = None
    thought: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """What an engine answered: text, the sampled `token_ids`, and the sampler's log-probabilities of them (nats).

    >>> to_json(Completion("<answer>4</answer>", finish="stop", model="hf:runs/sft/a"))
    {'text': '<answer>4</answer>', 'finish': 'stop', 'model': 'hf:runs/sft/a'}
    """

    text: str
    finish: Finish = "stop"
    model: str = ""
    token_ids: tuple[int, ...] = ()
    logps: tuple[float, ...] = ()


@dataclass(frozen=True)
class Score:
    """A verdict: its value, the answer that was read, which rule decided, and the parts of a composed reward.

    >>> Score(2.0, answer="4", reason="numeric", parts={"correct": 1.0, "format": 1.0}).correct
    True
    >>> Score(0.0, reason="unparsed").correct
    False
    """

    value: float
    answer: str | None = None
    reason: Reason = "wrong"
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def correct(self) -> bool:
        """Whether a rule (or a judge) found the answer right."""
        return self.reason in CORRECT


@dataclass(frozen=True)
class Sample:
    """One completion of a problem and its score.

    >>> s = Sample(Problem("p", "1+1?", answer="2"), Completion("2"), Score(1.0, "2", "exact", {"correct": 1.0}))
    >>> from_json(Sample, to_json(s)) == s
    True
    """

    problem: Problem
    completion: Completion
    score: Score


@dataclass(frozen=True)
class Pair:
    """Two completions of a problem, the better one first; `margin` says by how much where that is known.

    >>> p = Pair(Problem("p", "1+1?"), Completion("2"), Completion("3"), margin=1.0)
    >>> from_json(Pair, to_json(p)) == p
    True
    """

    problem: Problem
    chosen: Completion
    rejected: Completion
    margin: float | None = None


Record = Image | Problem | Completion | Score | Sample | Pair
R = TypeVar("R", Image, Problem, Completion, Score, Sample, Pair)


def to_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON values; fields that are None or empty are left out."""
    row: dict[str, Any] = {}
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        if value is None or value == () or value == {}:
            continue
        row[f.name] = _plain(value)
    return row


def from_json(kind: type[R], row: object) -> R:
    """The record of `kind` in a JSON object. Raises DataError for a missing, unknown or mistyped field."""
    if not isinstance(row, dict):
        raise DataError(
            f"expected a JSON object for {kind.__name__}, found {type(row).__name__}: {str(row)[:80]!r}"
        )
    hints = _hints(kind)
    unknown = sorted(set(row) - set(hints))
    if unknown:
        raise DataError(
            f"{kind.__name__} has no field {', '.join(unknown)}; its fields are {', '.join(hints)}"
        )
    required = [
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if row.get(name) is None]
    if missing:
        raise DataError(
            f"{kind.__name__} needs {', '.join(missing)}; the row has {', '.join(row) or 'nothing'}"
        )
    return kind(
        **{name: _parse(value, hints[name], f"{kind.__name__}.{name}") for name, value in row.items()}
    )


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)  # type: ignore[arg-type]
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _parse(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _parse(value, next(a for a in args if a is not type(None)), where)
    if origin is Literal:
        if value not in args:
            raise DataError(f"{where} must be one of {', '.join(map(repr, args))}, found {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise DataError(f"{where} must be a list, found {type(value).__name__}: {str(value)[:80]!r}")
        if Ellipsis not in args and len(value) != len(args):
            raise DataError(f"{where} must have {len(args)} values, found {len(value)}: {str(value)[:80]!r}")
        return tuple(_parse(v, args[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise DataError(f"{where} must be an object, found {type(value).__name__}: {str(value)[:80]!r}")
        return value
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value)  # type: ignore[type-var]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise DataError(f"{where} must be {hint.__name__}, found {type(value).__name__}: {str(value)[:80]!r}")
    return value
