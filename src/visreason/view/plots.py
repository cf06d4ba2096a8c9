"""PNG plots: the curves of a training run, and accuracy per family and level of several runs side by side."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from textwrap import shorten

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from visreason.stats import Interval

CURVES = {
    "reward/correct": "Accuracy reward",
    "reward/format": "Format reward",
    "reward": "Reward, mean",
    "reward_std": "Reward, spread within a group",
    "completion_length": "Completion length (tokens)",
    "reward/learned": "Learned reward",
    "reward/judge": "Reward by rule or judge",
    "heldout/reward": "Reward on held-out data, greedy",
    "heldout/accuracy": "Accuracy on held-out data",
    "heldout/loss": "Loss on held-out data",
    "accuracy": "Accuracy on the step's pairs",
    "reward/chosen": "Implicit reward, chosen",
    "reward/rejected": "Implicit reward, rejected",
    "loss": "Loss",
    "kl": "KL to the reference (nats a token)",
    "entropy": "Entropy (nats a token)",
    "tokens_per_s": "Tokens learned from, per second",
    "rollout_tokens_per_s": "Tokens sampled, per second",
    "lr": "Learning rate",
    "grad_norm": "Gradient norm",
}
"""Metric and title. The first five are those of Awaker2.5-R1."""
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito's colours, which colour-blind readers tell apart."""
GREEN, VERMILION = COLORS[2], COLORS[5]
GREY = "#777777"


SMOOTHED = 20
"""Points from which on a curve is shown by its moving mean: that of few would hide what they say."""


def curves(metrics: Sequence[Mapping[str, float]], folder: Path, prefix: str = "") -> dict[str, Path]:
    """Draw every curve of CURVES that the metrics hold; returns the PNG files by metric."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, title in CURVES.items():
        points = [
            (row.get("step", i + 1), row[name])
            for i, row in enumerate(metrics)
            if isinstance(row.get(name), (int, float)) and math.isfinite(row[name])
        ]
        if points:
            drawn[name] = folder / f"{prefix}{name.replace('/', '_')}.png"
            _curve(points, title, drawn[name])
    return drawn


def bars(accuracies: Mapping[str, Mapping[tuple[str, str], Interval]], path: Path) -> Path:
    """Draw accuracy by run, family and level: a panel for each family, a group of bars for each level."""
    families = sorted({family for cells in accuracies.values() for family, _ in cells})
    columns = min(4, len(families))
    rows = -(-len(families) // columns)
    figure = Figure(figsize=(1.2 + 2.6 * columns, 0.5 + 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    axes = grid.ravel()
    for panel, family in zip(axes, families, strict=False):
        _panel(panel, family, accuracies)
    for panel in axes[len(families) :]:
        panel.set_visible(False)
    for first in grid[:, 0]:
        first.set_ylabel("accuracy, %", fontsize=9, color=GREY)
    _legend(figure, list(accuracies), columns + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def smooth(values: Sequence[float]) -> list[float]:
    """Centred mean over about a fifteenth of the points, at least three; at the ends of what there is.

    >>> smooth([0, 3, 6, 12])
    [1.5, 3.0, 7.0, 9.0]
    """
    n, half = len(values), max(1, len(values) // 30)
    before = [0.0, *accumulate(values)]
    bounds = ((max(0, i - half), min(n, i + half + 1)) for i in range(n))
    return [(before[end] - before[start]) / (end - start) for start, end in bounds]


def _curve(points: list[tuple[float, float]], title: str, path: Path) -> None:
    steps, values = zip(*points, strict=True)
    figure = Figure(figsize=(4.8, 2.9), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        steps,
        values,
        color=COLORS[0],
        alpha=0.3,
        linewidth=1,
        marker="." if len(steps) < 60 else "",
        markersize=4,
    )
    axes.plot(steps, smooth(values) if len(values) >= SMOOTHED else values, color=COLORS[0], linewidth=2)
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("step", fontsize=9, color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.ticklabel_format(axis="y", scilimits=(-2, 5), useOffset=False)
    axes.yaxis.get_offset_text().set(fontsize=8, color=GREY)
    plain(axes)
    figure.savefig(path, dpi=130)


def columns(figures: Mapping[str, Mapping[str, Interval]], names: Sequence[str], path: Path) -> Path:
    """Draw a benchmark's figures by run: a group of bars for each column."""
    figure = Figure(figsize=(max(5.0, 1.5 + 0.75 * len(names)), 3.0), layout="constrained")
    axes = figure.subplots()
    _groups(axes, names, list(figures.values()))
    axes.set_xticks(range(len(names)), [shorten(n, 14, placeholder="…") for n in names], parse_math=False)
    axes.set_ylabel("percent", fontsize=9, color=GREY)
    plain(axes)
    _legend(figure, list(figures), 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def ladder(values: Mapping[str, Interval], path: Path, name: str = "accuracy") -> Path:
    """Draw one figure of many runs: a line for each run, in the order they came, with its interval."""
    figure = Figure(figsize=(8.0, 0.9 + 0.24 * len(values)), layout="constrained")
    axes = figure.subplots()
    middles = [100 * a.value for a in values.values()]
    spans = [
        [100 * (a.value - a.low) for a in values.values()],
        [100 * (a.high - a.value) for a in values.values()],
    ]
    axes.errorbar(
        middles, range(len(values)), xerr=spans, fmt="o", color=COLORS[0], markersize=4, elinewidth=1
    )
    axes.set_yticks(
        range(len(values)), [shorten(label, 50, placeholder="…") for label in values], parse_math=False
    )
    axes.set_ylim(len(values) - 0.5, -0.5)  # the first on top
    axes.set_xlabel(f"{name}, percent", fontsize=9, color=GREY, parse_math=False)
    plain(axes)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _legend(figure: Figure, labels: Sequence[str], columns: int) -> None:
    keys = [Patch(color=COLORS[i % len(COLORS)], label=label) for i, label in enumerate(labels)]
    legend = figure.legend(
        handles=keys, loc="outside upper left", ncols=min(len(keys), columns), frameon=False, fontsize=9
    )
    for text in legend.get_texts():  # names come from data: a dollar sign begins no formula
        text.set_parse_math(False)


def _panel(axes: Axes, family: str, accuracies: Mapping[str, Mapping[tuple[str, str], Interval]]) -> None:
    levels = sorted({level for cells in accuracies.values() for found, level in cells if found == family})
    of_family = [
        {level: a for (name, level), a in cells.items() if name == family} for cells in accuracies.values()
    ]
    _groups(axes, levels, of_family)
    axes.set_title(shorten(family, 26, placeholder="…"), fontsize=10, loc="left", parse_math=False)
    axes.set_xticks(
        range(len(levels)), [f"level {level}" if level else "all" for level in levels], parse_math=False
    )
    axes.set_ylim(0, 100)
    plain(axes)


def _groups(axes: Axes, names: Sequence[str], runs: Sequence[Mapping[str, Interval]]) -> None:
    """Bars with their intervals: a group for each name, in it a bar for each run that has it."""
    width = 0.8 / len(runs)
    for i, cells in enumerate(runs):
        found = [(x, cells[name]) for x, name in enumerate(names) if name in cells]
        places = [x - 0.4 + width * (i + 0.5) for x, _ in found]
        heights = [100 * a.value for _, a in found]
        spans = [[100 * (a.value - a.low) for _, a in found], [100 * (a.high - a.value) for _, a in found]]
        axes.bar(places, heights, width * 0.9, color=COLORS[i % len(COLORS)])
        axes.errorbar(places, heights, spans, fmt="none", ecolor="#444444", elinewidth=1, capsize=2)


def plain(axes: Axes) -> None:
    """No frame, a light grid behind the data."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors=GREY, length=0)
