"""Figures in print beside what follows from the tables that they are printed in: one maker a source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from visreason.bench.cells import Cell, parsed
from visreason.bench.figures import mean_of
from visreason.bench.files import rows
from visreason.bench.kind import ALL
from visreason.bench.wemath import four_dimensions
from visreason.stats import Interval, mcnemar


def _rewardbench(folder: Path) -> Iterator[Cell]:
    tables = parsed(folder / "published_sections.json")
    sections = ("chat", "chat_hard", "safety", "reasoning")
    for row in (r for t in tables.values() if isinstance(t, dict) for r in t["rows"]):
        known = "" if row["consistent"] else "not the mean of its four sections"
        yield Cell(
            "rewardbench tables", row["model"], "score", str(row["score"]), _mean(row, sections), known
        )
    domains = ("factuality", "precise_if", "math", "safety", "focus", "ties")
    for row in parsed(folder / "rewardbench2_paper_table.json")["rows"]:
        yield Cell("rewardbench 2", row["model"], "avg", str(row["avg"]), _mean(row, domains))


def _wemath(folder: Path) -> Iterator[Cell]:
    for row in parsed(folder / "published_leaderboard.json")["rows"]:
        for mode in ("strict", "loose"):
            printed = row[mode]
            tally = {kind: printed[kind][1] for kind in ("IK", "IG", "CM", "RM")}
            found = four_dimensions(tally, mode)
            stated = {mode: printed["score"], "IK": printed["IK"][0], "IG": printed["IG"][0],
                      f"CM {mode}": printed["CM"][0], f"RM {mode}": printed["RM"][0]}  # fmt: skip
            for column, value in stated.items():
                yield Cell(
                    "wemath", row["model"], f"{column} ({mode})", f"{value:.2f}", 100 * found[column].value
                )


def _mathverse(folder: Path) -> Iterator[Cell]:
    versions = ("TextDominant", "TextLite", "VisionIntensive", "VisionDominant", "VisionOnly")
    for row in parsed(folder / "published_leaderboard.json")["rows"]:
        for kind in ("w/o", "CoT-E"):
            parts = [row[f"{v}_{kind}"] for v in versions]
            if row[f"ALL_{kind}"] != "-" and "-" not in parts:
                column = ALL if kind == "w/o" else "ALL CoT-E"
                mean = _mean(dict(enumerate(map(float, parts))), range(5))
                yield Cell("mathverse", row["model"], column, row[f"ALL_{kind}"], mean)


def _suite(folder: Path) -> Iterator[Cell]:
    columns = ("MMMU", "MathVista", "MathVision", "MathVerse", "DynaMath", "WeMath", "LogicVista")
    for row in parsed(folder / "internvl3_reasoning_table.json")["rows"]:
        yield Cell("suite", row["model"], "Overall", str(row["Overall"]), _mean(row, columns))


def _vl_rewardbench(folder: Path) -> Iterator[Cell]:
    for row in parsed(folder / "published_table.json")["rows"]:
        yield Cell("vl_rewardbench", row["model"], "Macro", str(row["macro"]),
                   _mean(row, ("general", "hallucination", "reasoning")), slack=0.05)  # fmt: skip


def _r1_onevision(folder: Path) -> Iterator[Cell]:
    """Domain shares to the total, and exact paired p-values, of the public study that holds them."""
    analysis = folder / "results" / "analysis"
    domains = [row.value for row in rows(analysis / "reproduction_by_domain.csv")]
    for row in (r.value for r in rows(analysis / "reproduction_models.csv")):
        key = f"{row['model_key']}_accuracy_pct"
        right = sum(round(float(d[key]) * int(d["n"]) / 100) for d in domains)
        ours = 100 * right / sum(int(d["n"]) for d in domains)
        yield Cell("r1_onevision_bench", row["model_id"], ALL, f"{100 * float(row['accuracy']):.2f}", ours)
    for row in (r.value for r in rows(analysis / "reproduction_paired_deltas.csv")):
        p = mcnemar(int(row["left_only_correct"]), int(row["right_only_correct"]))
        name = f"{row['left']} and {row['right']}"
        yield Cell(
            "r1_onevision_bench", name, "p x 100", f"{100 * float(row['mcnemar_exact_p']):.3f}", 100 * p
        )


def _mean(row: Any, names: Any) -> float:
    parts = [(1.0, Interval(float(row[n]) / 100, 0.0, 1.0, 0)) for n in names]
    return 100 * mean_of(parts).value


TABLES = {
    "rewardbench": _rewardbench, "wemath": _wemath, "mathverse": _mathverse, "suite_tables": _suite,
    "vl_rewardbench": _vl_rewardbench, "r1_onevision_bench": _r1_onevision,
}  # fmt: skip
"""Folders of tables in print, and what makes cells of each."""
