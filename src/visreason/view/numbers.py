"""The report's numbers as rows for tables and cards: headline figures, counts, accuracy per family and level."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visreason.record import Problem, Sample
from visreason.stats import Interval, accuracies, counts, p_value, paired
from visreason.view.runs import RunView, shared

MAX_CELLS = 80
MANY = 6
"""More runs than this are told by rows of a table and one accuracy each: cards, colours and pairs would be too many."""


@dataclass(frozen=True)
class Card:
    """A headline number: what it is, the number, and what stands under it."""

    title: str
    number: str
    note: str = ""


def judged(runs: Sequence[RunView]) -> list[RunView]:
    """The runs whose samples are comparable: evaluations, or, where there are none, the rollouts of training."""
    with_samples = [r for r in runs if r.samples]
    return [r for r in with_samples if r.verb == "evaluate"] or with_samples


def cards(runs: Sequence[RunView]) -> list[Card]:
    """Both accuracies of each run, and what each gained over the one before on the problems they share."""
    found, before = [], None
    several = judged(runs)
    for run in several if len(several) <= MANY else ():
        both = accuracies(run.samples)
        completed = f"of completed: {percent(both['completed'])}" if "completed" in both else "none completed"
        found.append(
            Card(f"{run.label}: accuracy of all", _short(both["all"]), f"{_bounds(both['all'])}; {completed}")
        )
        if before and (gain := _gain(run, before)):
            found.append(gain)
        before = run
    return [*found, *(card for run in runs for card in _reward(run))]


def summary_cards(summary: Mapping[str, Any], prefix: str = "") -> Iterator[Card]:
    """Cards of a manifest's summary: intervals as percentages, differences in points, other numbers as they stand."""
    for name, value in summary.items():
        title = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
            points = bool(value.get("difference"))
            interval = Interval(value["value"], value["low"], value["high"], int(value.get("n", 0)), points)
            yield Card(title, _points(interval) if points else _short(interval), _bounds(interval))
        elif isinstance(value, Mapping):
            yield from summary_cards(value, f"{title} · ")
        elif isinstance(value, float):
            yield Card(title, f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}")
        elif value is not None:
            yield Card(title, str(value))


def count_rows(runs: Sequence[RunView]) -> list[dict[str, Any]]:
    """A row for each run with samples: the counts, which add up to n, and the two accuracies."""
    rows = []
    for run in runs:
        if run.samples:
            both = {name: percent(interval) for name, interval in accuracies(run.samples).items()}
            rows.append(
                {"label": run.label, **counts(s.score for s in run.samples), "completed": "none", **both}
            )
    return rows


def cells(run: RunView) -> dict[tuple[str, str], Interval]:
    """Accuracy of all samples by family and level; undivided where there are too many of them to show."""
    groups: dict[tuple[str, str], list] = {}
    for sample in run.samples:
        groups.setdefault((family(sample.problem), level(sample.problem)), []).append(sample)
    if len(groups) > MAX_CELLS:
        groups = {("all", ""): run.samples}
    return {place: accuracies(group)["all"] for place, group in sorted(groups.items())}


def family(problem: Problem) -> str:
    """The kind of problem that its meta names, "all" where it names none."""
    named = (problem.meta.get(k) for k in ("family", "category", "subject", "source"))
    return next((str(name) for name in named if name), "all")


def level(problem: Problem) -> str:
    """The difficulty that its meta names, "" where it names none."""
    return str(problem.meta.get("level", ""))


def percent(interval: Interval) -> str:
    """An interval as words.

    >>> percent(Interval(0.5, 0.4, 0.6, 100)), percent(Interval(0.05, 0.01, 0.09, 100, difference=True))
    ('50.0 % [40.0, 60.0]', '+5.0 points [1.0, 9.0]')
    """
    value = _points(interval) if interval.difference else f"{100 * interval.value:.1f} %"
    return f"{value} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _gain(run: RunView, before: RunView) -> Card | None:
    """The paired difference of two runs on the problems both answered; benchmarks have a comparison of their own."""
    if run.recipe.get("bench") or before.recipe.get("bench"):
        return None
    groups = shared(before, run)
    if len(groups) < 2:
        return None
    before_P, after_P = ([share(pair[i]) for pair in groups] for i in (0, 1))
    gain = paired(after_P, before_P)
    p = p_value(gain)
    note = f"{_bounds(gain)}, paired; p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    return Card(f"{run.label} over {before.label}", _points(gain), note)


def share(group: Sequence[Sample]) -> float:
    """The share of right answers to a problem."""
    return sum(s.score.correct for s in group) / len(group)


def _reward(run: RunView) -> Iterator[Card]:
    """The mean reward over the first and the last tenth of a training run."""
    values = [row["reward"] for row in run.metrics if "reward" in row]
    if values:
        tenth = max(1, len(values) // 10)
        first, last = sum(values[:tenth]) / tenth, sum(values[-tenth:]) / tenth
        yield Card(
            f"{run.label}: reward",
            f"{first:.2f} → {last:.2f}",
            f"first and last tenth of {len(values)} steps",
        )


def _short(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} %"


def _points(interval: Interval) -> str:
    return f"{100 * interval.value:+.1f} points"


def _bounds(interval: Interval) -> str:
    sign = "+" if interval.difference else ""
    bounds = f"95 %: {100 * interval.low:{sign}.1f} to {100 * interval.high:{sign}.1f}"
    return f"{bounds}, n = {interval.n:,}" if interval.n else bounds
