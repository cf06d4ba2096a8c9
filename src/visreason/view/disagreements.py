"""The page of responses on which the scores and recorded verdicts differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visreason.record import Sample
from visreason.view.report import template, write_page

LIMIT = 200
"""Responses shown of either side."""


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
