"""A figure in print beside ours, and what makes ours of a released file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visreason.bench import bench as find_bench
from visreason.bench.figures import figures
from visreason.bench.files import read_text
from visreason.bench.kind import Rules
from visreason.bench.outputs import read_outputs
from visreason.bench.problems import read_problems
from visreason.bench.scoring import by_rule, by_stored
from visreason.record import Sample

BY_RULE, BY_ANSWER = "ALL from responses", "ALL from responses, by answer/"
RESPONSES = "another way of reading"


@dataclass(frozen=True)
class Cell:
    """A figure in print and ours from the released files, both in percent; `known` says why they may differ, `slack` by
    how much more where ours is the mean of figures that were rounded for print themselves."""

    bench: str
    model: str
    column: str
    published: str
    ours: float
    known: str = ""
    slack: float = 0.0

    @property
    def equal(self) -> bool:
        """The same to the printed digit; tables in print were often rounded to two places first.

        >>> Cell("b", "m", "ALL", "47.8", 47.7477).equal, Cell("b", "m", "ALL", "47.8", 47.72).equal
        (True, False)
        """
        digits = len(self.published.partition(".")[2])
        printed = float(self.published)
        rounded = (self.ours, round(self.ours, 2))
        return any(abs(printed - x) <= 0.5 * 10**-digits + self.slack + 1e-9 for x in rounded)


def scored(
    name: str, path: Path, data: Path | None = None, kind: str = "stored", **rules: Any
) -> list[Sample]:
    """The samples of a released file with their scores."""
    bench = find_bench(name)
    source = read_problems(bench, data, None, Path("."), images=False) if data else None
    samples = read_outputs(bench, path, source).samples
    scoring = by_rule(bench, Rules(**rules)) if kind == "rule" else by_stored(bench, Rules(**rules))
    return [replace(s, score=score) for s, score in zip(samples, scoring(samples), strict=True)]


def all_figures(name: str, samples: list[Sample]) -> dict[str, float]:
    """Every column of the benchmark, in percent."""
    return {column: 100 * x.value for column, x in figures(find_bench(name), samples).items()}


def from_responses(
    name: str, model: str, samples: list[Sample], published: str, by_bench: bool = False
) -> Iterator[Cell]:
    """From raw responses alone: by the benchmark's own rule where it has one, and by `answer/`. No figure in print."""
    with_answer = [s.score.parts["answer"] for s in samples if "answer" in s.score.parts]
    if by_bench:
        share = sum(s.score.correct for s in samples) / len(samples)
        yield Cell(name, model, BY_RULE, published, 100 * share, RESPONSES)
    if len(with_answer) == len(samples):
        share = sum(with_answer) / len(samples)
        yield Cell(name, model, BY_ANSWER, published, 100 * share, RESPONSES)


def parsed(path: Path) -> Any:
    """The JSON of a file, gzipped or not."""
    return json.loads(read_text(path))
