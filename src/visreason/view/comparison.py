"""Runs on the same benchmark side by side: figures with intervals, published rows, paired differences, regressions.

Figures read by rule, stored and judged are never subtracted from each other. As rows for HTML, Markdown and CSV.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from visreason.stats import Interval, by_problem, mcnemar, p_value, paired
from visreason.view.runs import RunView

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
    """Two runs on the problems both answered: gain of the second in points, p, and how many each has right alone."""

    first: str
    second: str
    gain: Interval
    p: float
    lost: tuple[str, ...]
    won: tuple[str, ...]
    differ: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All runs on one benchmark: columns, ours, what is in print, and differences of runs read in the same way."""

    bench: str
    title: str
    columns: tuple[str, ...]
    ours: tuple[Line, ...]
    published: tuple[Line, ...]
    differences: tuple[Difference, ...]

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
    pairs = [_difference(a, b) for a, b in combinations(runs, 2) if read_by(a) == read_by(b)]
    title = str(summaries[0].get("title") or bench)
    return Comparison(bench, title, columns, tuple(map(_line, runs)), published, tuple(p for p in pairs if p))


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
    groups = [by_problem(run.samples) for run in (first, second)]
    shared = [name for name in groups[0] if name in groups[1]]
    if len(shared) < 2:
        return None
    before, after = ([sum(s.score.correct for s in g[i]) / len(g[i]) for i in shared] for g in groups)
    gain = paired(after, before)
    lost = tuple(i for i, b, a in zip(shared, before, after, strict=True) if a < b)
    won = tuple(i for i, b, a in zip(shared, before, after, strict=True) if a > b)
    single = all(len(g[i]) == 1 for g in groups for i in shared)
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


def shown(figure: tuple[float, ...] | None) -> str:
    """A figure as a cell.

    >>> shown((34.8, 31.91, 37.81)), shown((34.8,)), shown(None)
    ('34.80 [31.9, 37.8]', '34.8', '–')
    """
    if figure is None:
        return "–"
    return f"{figure[0]:.2f} [{figure[1]:.1f}, {figure[2]:.1f}]" if len(figure) == 3 else f"{figure[0]:g}"


def sentence(d: Difference) -> str:
    """A difference in words."""
    p = "p < 0.0001" if d.p < 1e-4 else f"p = {d.p:.4f}"
    gain, low, high = (100 * x for x in (d.gain.value, d.gain.low, d.gain.high))
    return (
        f"{d.second} over {d.first}: {gain:+.2f} points [{low:+.2f}, {high:+.2f}], {p}, n = {d.gain.n}; right alone: "
        f"{len(d.lost)} and {len(d.won)}"
    )


def markdown(found: Sequence[Comparison]) -> str:
    """The comparisons as Markdown tables."""
    parts = []
    for c in found:
        parts += [f"## {c.title}", "", _md_row(["model", "read by", "n", *c.columns, "note"])]
        parts.append(_md_row(["---"] * (len(c.columns) + 4)))
        for line in (*c.ours, *c.published):
            cells = [shown(line.figures.get(column)) for column in c.columns]
            parts.append(_md_row([line.label, line.read, str(line.n or ""), *cells, line.note]))
        parts.append("")
        for d in c.differences:
            parts.append(f"- {sentence(d)}")
            parts += [f"  - not the same protocol: {point}" for point in d.differ]
        parts.append("")
    return "\n".join(parts)


def _md_row(cells: list[str]) -> str:
    return (
        "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for c in cells) + " |"
    )


def table(found: Sequence[Comparison]) -> str:
    """The comparisons as CSV: a line for each model and column, then for each difference and problem lost or won."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("bench", "kind", "model", "read by", "column", "value", "low", "high", "n", "note"))
    for c in found:
        for row in _csv_rows(c):
            writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def _csv_rows(c: Comparison) -> Iterator[tuple[Any, ...]]:
    for kind, lines in (("ours", c.ours), ("published", c.published)):
        for line in lines:
            for column, figure in line.figures.items():
                value, low, high = figure if len(figure) == 3 else (figure[0], "", "")
                yield c.bench, kind, line.label, line.read, column, value, low, high, line.n or "", line.note
    for d in c.differences:
        name, gain = f"{d.second} over {d.first}", (100 * d.gain.value, 100 * d.gain.low, 100 * d.gain.high)
        yield c.bench, "difference", name, "", "ALL", *gain, d.gain.n, f"p = {d.p:.6g}; {'; '.join(d.differ)}"
        yield from ((c.bench, "lost", name, "", i, "", "", "", "", "") for i in d.lost)
        yield from ((c.bench, "won", name, "", i, "", "", "", "", "") for i in d.won)


def _harmless(cell: Any) -> Any:
    """A text that a spreadsheet won't take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "@", "+", "-") else cell
