"""The report of scored samples, with a page of the responses on which scores and recorded verdicts differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from visreason.record import Sample
from visreason.reward.agreement import judged, verdict
from visreason.view.report import template, write_page, write_report
from visreason.view.runs import RunView

LIMIT = 200
"""Responses shown of either side."""


def write_scores(
    folder: Path, recipe: dict[str, Any], samples: Sequence[Sample], summary: Mapping[str, Any]
) -> None:
    """Write the run's page, and disagreements.html where the summary has `agreement`."""
    view = RunView("score", recipe, samples=list(samples), manifest={"verb": "score", "summary": summary})
    shown = {name: value for name, value in summary.items() if not name.startswith("by_")}
    if "agreement" not in summary:
        write_report(folder, "Scores", {"score": view}, summary=shown)
        return
    differ = Markup('<a href="disagreements.html">Where scores and recorded verdicts differ</a>')
    write_report(folder, "Scores", {"score": view}, differ, summary=shown)
    found = judged(samples)
    accepted = [s for s in found if s.score.correct and not verdict(s.problem)]
    refused = [s for s in found if not s.score.correct and verdict(s.problem)]
    write_disagreements(folder / "disagreements.html", accepted, refused, summary["agreement"])


def write_disagreements(
    path: Path, accepted: Sequence[Sample], refused: Sequence[Sample], agreement: Mapping[str, Any]
) -> None:
    """Write the page: agreement by kind, then what was accepted though recorded wrong, and refused though right."""
    write_page(
        path,
        template("disagreements").render(
            accepted=accepted,
            refused=refused,
            kinds=agreement["by_kind"],
            negatives=agreement["negatives"],
            positives=agreement["n"] - agreement["negatives"],
            limit=LIMIT,
        ),
    )
