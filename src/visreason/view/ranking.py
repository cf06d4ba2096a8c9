"""Plots of a learned reward: calibration, score against length, and accuracy of the best of n."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from visreason.view.plots import COLORS, GREEN, GREY, VERMILION, plain

RULES = {
    "oracle": "one is right (oracle)",
    "best": "best by learned reward",
    "majority": "majority vote",
    "mean": "mean",
}
MOST_POINTS = 2000


def calibration(points: Sequence[tuple[float, float, int]], path: Path) -> Path:
    """Stated against found accuracy of each bin of pairs."""
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.5, 1], [0.5, 1], color=GREY, linewidth=1, linestyle="--")
    axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", color=COLORS[0])
    axes.set_title("Calibration on pairs", fontsize=11, loc="left")
    axes.set_xlabel("stated: sigmoid of the scores' difference", fontsize=9, color=GREY)
    axes.set_ylabel("found: accuracy", fontsize=9, color=GREY)
    return _keep(figure, axes, path)


def lengths(groups: Mapping[str, Sequence[tuple[float, float]]], path: Path) -> Path:
    """Score against length in tokens, one colour a group: right and wrong, or chosen and rejected."""
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for color, (name, points) in zip((GREEN, VERMILION), groups.items(), strict=False):
        shown = points[:: -(-len(points) // MOST_POINTS) or 1]
        axes.scatter([n for _, n in shown], [s for s, _ in shown], s=5, alpha=0.35, color=color, label=name)
    axes.set_title("Score against length", fontsize=11, loc="left")
    axes.set_xlabel("tokens", fontsize=9, color=GREY)
    axes.legend(frameon=False, fontsize=8.5)
    return _keep(figure, axes, path)


def best_of(choices: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> Path:
    """Accuracy by the number of completions that one is chosen from, for every way to choose."""
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    sizes = [int(n) for n in choices]
    for color, (rule, label) in zip(COLORS, RULES.items(), strict=False):
        found = [row[rule] for row in choices.values()]
        values = [100 * f["value"] for f in found]
        axes.plot(sizes, values, marker="o", markersize=4, color=color, label=label)
        bounds = [100 * f["low"] for f in found], [100 * f["high"] for f in found]
        axes.fill_between(sizes, *bounds, color=color, alpha=0.12, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.set_title("Accuracy of the chosen answer, %", fontsize=11, loc="left")
    axes.set_xlabel("completions to choose from", fontsize=9, color=GREY)
    axes.legend(frameon=False, fontsize=8.5)
    return _keep(figure, axes, path)


def _keep(figure: Figure, axes: Any, path: Path) -> Path:
    plain(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path
