"""Runs on the same benchmark side by side: figures with intervals, published rows, paired differences, regressions.

Figures read by rule, stored and judged are never subtracted from each other. How this is written: `tables.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from visreason.stats import TRIAL_OF, Interval, mcnemar, p_value, paired
from visreason.view.numbers import MANY, share
from visreason.view.runs import RunView, shared

SHOWN, LEAD = 60, 20
"""Characters of a value that a protocol's difference shows, and how many of them before the place where values part."""
ALONE = ("asked.model", "asked.seed", "rules.seed")
"""Points in which protocols may differ and runs still be compared."""


@dataclass(frozen=True)
class Line:
    """A row of a table: who, how answers were read, and figures by column: [value, low, high] or [value] in percent."""

    label: str
    read: str
    figures: dict[str, tuple[float, ...]]
    n: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """Two runs on the problems both answered: gain of the second in points, p, and those it is worse and better on."""

    first: str
    second: str
    gain: Interval
    p: float
    lost: tuple[str, ...]
    won: tuple[str, ...]
    differ: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All runs on one benchmark: columns and the one that counts, ours, what is in print, and differences of runs read
    in the same way: of all pairs, or, of many runs, from the first. `apart` have too few problems in common."""

    bench: str
    title: str
    columns: tuple[str, ...]
    primary: str
    ours: tuple[Line, ...]
    published: tuple[Line, ...]
    differences: tuple[Difference, ...]
    apart: tuple[str, ...] = ()

    @property
    def mixed(self) -> bool:
        """Whether answers were read in different ways."""
        return len({line.read for line in self.ours}) > 1


def comparisons(runs: Sequence[RunView]) -> list[Comparison]:
    """One for each benchmark among finished runs whose manifests hold figures."""
    by_bench: dict[str, list[RunView]] = {}
    for run in runs:
        summary = run.manifest.get("summary", {})
        if "figures" in summary:
            by_bench.setdefault(str(summary["bench"]), []).append(run)
    return [_comparison(name, group) for name, group in by_bench.items()]


def _comparison(bench: str, runs: list[RunView]) -> Comparison:
    summaries = [run.manifest["summary"] for run in runs]
    headline = summaries[0].get("headline") or list(summaries[0]["figures"])
    columns = tuple(c for c in headline if any(c in s["figures"] for s in summaries))
    printed = {p["model"]: p for s in summaries for p in s.get("published", ())}
    published = tuple(
        Line(p["model"], p["source"], {c: (v,) for c, v in p["figures"].items()}) for p in printed.values()
    )
    pairs = [(a, b, _difference(a, b)) for a, b in _pairs(runs)]
    apart = tuple(f"{a.label} and {b.label}" for a, b, d in pairs if d is None and a.samples and b.samples)
    title, primary = str(summaries[0].get("title") or bench), str(summaries[0].get("primary"))
    return Comparison(
        bench,
        title,
        columns,
        primary if primary in columns else columns[0],
        tuple(map(_line, runs)),
        published,
        tuple(d for _, _, d in pairs if d),
        apart,
    )


def _pairs(runs: list[RunView]) -> Iterator[tuple[RunView, RunView]]:
    """Runs read in the same way, two by two; of many the first with every other."""
    groups: dict[str, list[RunView]] = {}
    for run in runs:
        groups.setdefault(read_by(run), []).append(run)
    for group in groups.values():
        yield from combinations(group, 2) if len(group) <= MANY else ((group[0], run) for run in group[1:])


def _line(run: RunView) -> Line:
    summary = run.manifest["summary"]
    figures = {c: (f["value"], f["low"], f["high"]) for c, f in summary["figures"].items()}
    lost = [f"{v:.1f} % {k}" for k, v in summary.get("not_read", {}).get("ALL", {}).items() if v]
    lost += [f"{v['percent']:.1f} % {k}" for k, v in summary.get("guessed", {}).items()]
    note = (
        [f"partial: {summary['missing']} problems missing"]
        if summary.get("partial") and "missing" in summary
        else []
    )
    n = int(summary["figures"].get("ALL", {}).get("n", 0)) or None
    return Line(run.label, read_by(run), figures, n, "; ".join(note + lost))


def read_by(run: RunView) -> str:
    """How a run's answers were read, with the judge's name."""
    kind = run.recipe.get("extraction") or "rule"
    judge = run.recipe.get("judge")
    return f"{kind} ({judge})" if judge else str(kind)


def _difference(first: RunView, second: RunView) -> Difference | None:
    """Over the problems both have: exact McNemar for one answer to a problem each, else the paired normal test."""
    groups = shared(first, second)
    if len(groups) < 2:
        return None
    names = [a[0].problem.meta.get(TRIAL_OF, a[0].problem.id) for a, _ in groups]
    before, after = ([share(pair[i]) for pair in groups] for i in (0, 1))
    gain = paired(after, before)
    lost = tuple(i for i, b, a in zip(names, before, after, strict=True) if a < b)
    won = tuple(i for i, b, a in zip(names, before, after, strict=True) if a > b)
    single = all(len(group) == 1 for pair in groups for group in pair)
    p = mcnemar(len(lost), len(won)) if single else p_value(gain)
    cards = [_card(run) for run in (first, second)]
    return Difference(first.label, second.label, gain, p, lost, won, tuple(protocol_differences(cards)))


def _card(run: RunView) -> dict[str, Any]:
    """The protocol of a run, with the versions of the libraries that it ran on."""
    return {**run.manifest["summary"].get("protocol", {}), "versions": run.manifest.get("versions", {})}


def protocol_differences(cards: Sequence[dict[str, Any]]) -> list[str]:
    """The points in which protocol cards differ, with both values where they part; models and seeds aside. How answers
    made elsewhere were asked for is not known, and is one point.

    >>> protocol_differences([{"split": "test", "asked": {"samples": 1}}, {"split": "test", "asked": {"samples": 4}}])
    ['asked.samples: 1 and 4']
    >>> protocol_differences([{"asked": {"samples": 1}, "prompt": {"style": "hint"}}, {"asked": {"made": "elsewhere"}}])
    ['answers of one were made elsewhere']
    """
    made = ["made" in card.get("asked", {}) for card in cards]
    if len(set(made)) > 1:
        known = [
            {k: v for k, v in card.items() if k not in ("asked", "prompt", "versions")} for card in cards
        ]
        return ["answers of one were made elsewhere", *protocol_differences(known)]
    flat = [_flat(card) for card in cards]
    names = sorted({name for card in flat for name in card}.difference(ALONE))
    found = {name: list(dict.fromkeys(str(card.get(name, "none")) for card in flat)) for name in names}
    return [
        f"{name}: {' and '.join(_where_apart(values))}" for name, values in found.items() if len(values) > 1
    ]


def _where_apart(values: list[str]) -> list[str]:
    """Values cut to what a line can hold, long ones from a little before the place where they part.

    >>> _where_apart(["test", "dev"]), _where_apart(["x" * 90 + "a", "x" * 90 + "b"])[1]
    (['test', 'dev'], '…xxxxxxxxxxxxxxxxxxxxb')
    """
    parted = next((i for i, at in enumerate(zip(*values, strict=False)) if len(set(at)) > 1), 0)
    start = max(0, parted - LEAD) if max(map(len, values)) > SHOWN else 0
    return [
        f"{'…' if start else ''}{v[start : start + SHOWN]}{'…' if len(v) > start + SHOWN else ''}"
        for v in values
    ]


def _flat(card: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in card.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def interval(figure: tuple[float, ...]) -> Interval:
    """A figure of ours as fractions again."""
    value, low, high = (x / 100 for x in figure)
    return Interval(value, low, high, 0)
