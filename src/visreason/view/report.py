"""The HTML report: one self-contained page about one or several runs, with the plots beside it as PNG files."""

import base64
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from visreason.prompt.chat import LETTERS
from visreason.stats import accuracies
from visreason.view import comparison, numbers, plots, tables
from visreason.view.funnel import funnels, makes_data
from visreason.view.gallery import gallery, shortened
from visreason.view.runs import RunView

PAGE = "index.html"
LISTED = 200
"""Ids of a list on the page; comparison.csv has them all."""


def write_report(
    out: Path,
    title: str,
    runs: Mapping[str, RunView],
    intro: str = "",
    summary: Mapping[str, Any] | None = None,
    problems: int = 24,
    figures: Mapping[str, Path] | None = None,
) -> Path:
    """Write out/index.html and its plots, and comparison.md and .csv of benchmarks; returns the page's path.
    `figures` are further plots, by what they show.

    A `summary`'s numbers replace the headline's. Shown are the accuracies of the evaluations (`verb` "evaluate"), of
    training rollouts where there is no evaluation.
    """
    out.mkdir(parents=True, exist_ok=True)
    everything = list(runs.values())
    scored = [run for run in everything if not makes_data(run)]
    compared = [(c, _chart(c, i, out)) for i, c in enumerate(comparison.comparisons(everything), 1)]
    page = template("report").render(
        title=title,
        intro=intro,
        cards=list(numbers.summary_cards(summary)) if summary else numbers.cards(scored),
        curves=_curves(everything, out),
        smoothed=plots.SMOOTHED,
        trained=sum(bool(run.metrics) for run in everything),
        figures=[(name, _embed(path)) for name, path in (figures or {}).items()],
        comparisons=compared,
        listed=LISTED,
        shown=tables.shown,
        sentence=tables.sentence,
        funnels=funnels(everything, problems),
        **_accuracies(numbers.judged(scored), out, problems),
        runs=everything,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False, default=str),
    )
    if found := [c for c, _ in compared]:
        (out / "comparison.md").write_text(tables.markdown(found), encoding="utf-8", errors="replace")
        (out / "comparison.csv").write_text(tables.table(found), encoding="utf-8", errors="replace")
    return write_page(out / PAGE, page)


def _accuracies(judged: list[RunView], out: Path, problems: int) -> dict[str, Any]:
    """What the template shows of runs with verdicts: counts, accuracies by family and level, single problems."""
    cells = {run.label: numbers.cells(run) for run in judged if not run.recipe.get("bench")}
    return {
        "counts": numbers.count_rows(judged),
        "bars": _embed(_bars(judged, cells, out / "accuracy.png")) if cells else None,
        "places": sorted({place for found in cells.values() for place in found}),
        "cells": cells,
        "many": len(cells) > numbers.MANY,
        "percent": numbers.percent,
        "exhibits": gallery(judged, problems),
        "total": len({(run.recipe.get("bench"), s.problem.id) for run in judged for s in run.samples}),
        "rollouts": any(run.rollouts for run in judged),
    }


def _bars(runs: list[RunView], cells: dict[str, Any], path: Path) -> Path:
    """Accuracies by family and level; of many runs one each."""
    if len(cells) <= numbers.MANY:
        return plots.bars(cells, path)
    return plots.ladder({r.label: accuracies(r.samples)["all"] for r in runs if r.label in cells}, path)


def write_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all."""
    scratch = path.with_name(f"{path.name}.tmp")
    scratch.write_text(page, encoding="utf-8", errors="replace")
    scratch.replace(path)
    return path


def template(name: str) -> Any:
    """The template of a page."""
    # Model and data text is not to be trusted: every value is escaped.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["letters"] = LETTERS
    environment.filters["shortened"] = shortened
    return environment.from_string(
        resources.files("visreason.view").joinpath(f"{name}.html.jinja").read_text("utf-8")
    )


def _curves(runs: list[RunView], out: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each run with metrics, the last ones of many, its label, and (title, data URI) of every curve."""
    drawn = []
    for i, run in [(i, run) for i, run in enumerate(runs, 1) if run.metrics][-numbers.MANY :]:
        files = plots.curves(run.metrics, out, prefix=f"{i}_{_slug(run.label)}_")
        drawn.append((run.label, [(plots.CURVES[name], _embed(path)) for name, path in files.items()]))
    return drawn


def _chart(c: comparison.Comparison, number: int, out: Path) -> str:
    """The figures of all runs on a benchmark as bars, of many runs the one that counts, as a data URI."""
    figures = {line.label: {n: comparison.interval(f) for n, f in line.figures.items()} for line in c.ours}
    path = out / f"benchmark_{number}.png"
    if len(figures) <= numbers.MANY:
        return _embed(plots.columns(figures, c.columns, path))
    counting = {label: found[c.primary] for label, found in figures.items() if c.primary in found}
    return _embed(plots.ladder(counting, path, c.primary))


def _embed(png: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "run"
