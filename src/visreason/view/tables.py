"""Comparisons of runs in words, as Markdown and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from visreason.view.comparison import Comparison, Difference


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
        f"{d.second} over {d.first}: {gain:+.2f} points [{low:+.2f}, {high:+.2f}], {p}, n = {d.gain.n}; better on "
        f"{len(d.won)} problems, worse on {len(d.lost)}"
    )


def markdown(found: Sequence[Comparison]) -> str:
    """The comparisons as Markdown tables."""
    parts = []
    for c in found:
        parts += [f"## {_md_text(c.title)}", "", _md_row(["model", "read by", "n", *c.columns, "note"])]
        parts.append(_md_row(["---"] * (len(c.columns) + 4)))
        for line in (*c.ours, *c.published):
            cells = [shown(line.figures.get(column)) for column in c.columns]
            parts.append(_md_row([line.label, line.read, str(line.n or ""), *cells, line.note]))
        parts.append("")
        for d in c.differences:
            parts.append(f"- {_md_text(sentence(d))}")
            parts += [f"  - not the same protocol: {_md_text(point)}" for point in d.differ]
        parts += [f"- fewer than two problems in common: {_md_text(pair)}" for pair in c.apart]
        parts.append("")
    return "\n".join(parts)


def _md_row(cells: list[str]) -> str:
    return "| " + " | ".join(_md_text(c).replace("|", "\\|") for c in cells) + " |"


def _md_text(text: str) -> str:
    """A text on one line, in which nothing is an element of HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


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
