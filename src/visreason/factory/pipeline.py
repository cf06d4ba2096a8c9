"""What every pipeline keeps: a row for each problem with all that was made of it, and the funnel of it all."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from visreason.data.filters import WORD
from visreason.record import Problem, from_json
from visreason.store import Run, read_rows, record_row

MADE, DROPPED, PROBLEMS = "made.jsonl", "dropped.jsonl", "problems.jsonl"
console = Console(stderr=True)


@dataclass(frozen=True)
class Made:
    """What became of a problem: the problem as it is now, every intermediate by name, and the rule that dropped it
    with the reason (None: kept)."""

    problem: Problem
    steps: dict[str, Any] = field(default_factory=dict)
    rule: str | None = None
    why: str = ""

    def row(self, folder: Path) -> dict[str, Any]:
        """The row of a file in `folder`, from which its pictures are named."""
        return {
            "problem": record_row(self.problem, folder),
            "steps": self.steps,
            "rule": self.rule,
            "why": self.why,
        }

    @classmethod
    def read(cls, row: dict[str, Any], folder: Path) -> "Made":
        """What `row` wrote."""
        problem = row["problem"]
        images = [{**i, "path": str(folder / i["path"])} for i in problem.get("images", [])]
        return cls(from_json(Problem, {**problem, "images": images}), row["steps"], row["rule"], row["why"])


Troubles = Counter[str]
"""What went wrong on the way to servers, by kind."""
Work = Callable[[list[Problem], int], tuple[list[Made], Troubles]]
"""From a block's problems and its seed to what became of each."""


def read_made(path: Path) -> Iterator[Made]:
    """The whole rows of a file, one by one: with every intermediate they may be larger than memory."""
    if path.exists():
        yield from (Made.read(row, path.parent) for _, row in read_rows(path, growing=True))


def kept(path: Path) -> Iterator[Made]:
    """What no rule dropped."""
    return (made for made in read_made(path) if made.rule is None)


def write_dropped(
    record: Run, before: Iterable[dict[str, Any]], after: Iterable[dict[str, Any]] = ()
) -> None:
    """Write DROPPED anew: what rules took out before anything was made, what was dropped on the way, and `after`."""
    record.rewind({DROPPED: 0})
    record.append(DROPPED, before)
    made = (m for m in read_made(record.path / MADE) if m.rule)
    record.append(DROPPED, ({"id": m.problem.id, "rule": m.rule, "why": m.why} for m in made))
    record.append(DROPPED, after)


@dataclass
class Stage:
    """Counts of one kind of row on its way: how many came in, and how many each rule took out, in the rules' order.

    >>> stage = Stage("completions", 4)
    >>> stage.drop(["wrong", None, "wrong", None])
    >>> stage.row()
    {'unit': 'completions', 'in': 4, 'dropped': {'wrong': 2}, 'out': 2}
    """

    unit: str
    into: int
    dropped: Counter[str] = field(default_factory=Counter)

    def drop(self, rules: Iterable[str | None]) -> None:
        """Count rows by the rule that dropped each (None: kept)."""
        self.dropped.update(rule for rule in rules if rule)

    def row(self) -> dict[str, Any]:
        """The stage as it stands in a manifest; in = dropped + out."""
        out = self.into - sum(self.dropped.values())
        return {"unit": self.unit, "in": self.into, "dropped": dict(self.dropped.most_common()), "out": out}


def lengths(texts: Iterable[str]) -> dict[str, Any]:
    """How many words texts have (a Chinese character is one): quantiles, and counts up to each power of two.

    >>> lengths(["a b c", "a"])
    {'n': 2, 'median': 3, 'p10': 1, 'p90': 3, 'up_to': {'1': 1, '4': 1}}
    """
    counts = sorted(len(WORD.findall(t)) for t in texts)
    if not counts:
        return {"n": 0}
    bins = Counter(1 << max(0, (n - 1).bit_length()) for n in counts)
    at = {q: counts[min(len(counts) - 1, int(q * len(counts)))] for q in (0.1, 0.5, 0.9)}
    return {
        "n": len(counts), "median": at[0.5], "p10": at[0.1], "p90": at[0.9],
        "up_to": {str(k): bins[k] for k in sorted(bins)},
    }  # fmt: skip


def share(part: int, whole: int) -> dict[str, Any]:
    """A share with its numbers."""
    return {"n": part, "of": whole, "share": part / whole if whole else None}
