"""Several benchmarks under one name, and their average as boards print it.

Source: open-compass/VLMEvalKit@e8e78f05 vlmeval/tools.py (the group `math`) and the OpenCompass multimodal board.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visreason.bench.figures import mean_of, percent
from visreason.errors import DataError
from visreason.stats import Interval

SUITES: dict[str, dict[str, str]] = {
    "opencompass": {
        "mathvista": "ALL",
        "mathvision": "ALL",
        "mathverse": "Vision Only",
        "dynamath": "worst ALL",
        "wemath": "strict",
        "logicvista": "ALL",
    },
}
"""Suites, their benchmarks, and the column of each that counts."""


def part(folder: Path, name: str) -> Path:
    """What a folder holds for one benchmark of a suite: a file or folder of that name."""
    found = sorted(p for p in folder.glob(f"{name}*") if p.name.partition(".")[0] == name)
    if not found:
        raise DataError(
            f"expected {name} in {folder}, found nothing of that name; put its files at {folder / name}"
        )
    return found[0]


def average(suite: str, summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of a suite from the summaries of its benchmarks, with their plain mean, rounded and truncated."""
    for name, column in SUITES[suite].items():
        if column not in summaries[name]["figures"]:
            raise DataError(
                f"expected the column {column!r} of {name} for the average of {suite}, found none among its figures; "
                "give it the problems that this column is made of (limit and where may leave them out)"
            )
    figures = {name: summaries[name]["figures"][column] for name, column in SUITES[suite].items()}
    parts = [
        (1.0, Interval(f["value"] / 100, f["low"] / 100, f["high"] / 100, int(f["n"])))
        for f in figures.values()
    ]
    mean = percent(mean_of(parts))
    return {
        "bench": suite,
        "partial": any(s["partial"] for s in summaries.values()),
        "primary": "average",
        "figures": {**figures, "average": mean},
        **printed(mean["value"]),
    }


def printed(value: float) -> dict[str, float]:
    """An average as boards print it: rounded, and truncated as in Awaker2.5-R1's table.

    >>> printed((73.9 + 43.1 + 37.6) / 3), printed(53.97)
    ({'rounded': 51.5, 'truncated': 51.5}, {'rounded': 54.0, 'truncated': 53.9})
    """
    return {"rounded": round(value, 1), "truncated": math.floor(value * 10 + 1e-9) / 10}
