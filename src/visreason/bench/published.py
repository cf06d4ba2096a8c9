"""Every published figure that released files allow to recompute, beside ours: `make published`.

python -m visreason.bench.published FOLDER [TABLE.csv]: FOLDER holds the authors' files, one folder a benchmark. Exit
status 1 when a figure differs that is not known to be misprinted.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from visreason.bench.cells import BY_ANSWER, BY_RULE, RESPONSES, Cell
from visreason.bench.kind import ALL
from visreason.bench.printed import TABLES
from visreason.bench.released import OUTPUTS

MISPRINTS = {
    ("mathvista", "chatgpt", "geometry reasoning"): "57 of 223 problems, printed of 222",
    ("mathvision README", "InternLM-XComposer2-VL", "Len"): "result file 14.92",
    ("mathvision README", "ChatGPT3.5-CoT (Text+Image Caption)", "AnaG"): "result file 20.24",
    ("mathverse", "Human Performance*", ALL): "64.9 printed, the five versions make 67.7",
    ("vl_rewardbench", "LLaVA-Critic-8B", "Macro"): "44.0 printed, the groups make 50.67",
}
"""Figures that contradict the files they were made from."""


SHOWN = (ALL, "worst ALL", "strict (strict)", "loose (loose)", "Overall", "Macro", "Score", "score", "avg")
"""Columns that are printed; the others only where they are not equal."""


def cells(root: Path) -> Iterator[Cell]:
    """All of them, benchmark by benchmark; a folder that is not there is left out."""
    for name, make in (*OUTPUTS.items(), *TABLES.items()):
        for cell in make(root / name) if (root / name).is_dir() else ():
            yield replace(cell, known=cell.known or MISPRINTS.get((cell.bench, cell.model, cell.column), ""))


def from_responses(found: list[Cell]) -> str:
    """A Markdown table of what raw responses alone give, by the benchmark's own rule and by `answer/`, in points."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for c in found:
        if c.known == RESPONSES:
            off = f"{round(c.ours - float(c.published), 2) + 0:+.2f}"
            rows.setdefault((c.bench, c.model, c.published), {})[c.column] = off
    lines = [
        f"| {bench} | {model} | {printed} | {by.get(BY_RULE, '-')} | {by.get(BY_ANSWER, '-')} |"
        for (bench, model, printed), by in rows.items()
    ]
    head = ("| benchmark | model | in print | by `rule` | by `answer/` |", "| --- | --- | --- | --- | --- |")
    return "\n".join((*head, *lines)) + "\n"


def _write(found: list[Cell], table: Path) -> None:
    with open(table, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("benchmark", "model", "column", "published", "ours", "difference", "equal", "note"))
        for c in found:
            writer.writerow((c.bench, c.model, c.column, c.published, f"{c.ours:.4f}",
                             f"{c.ours - float(c.published):.4f}", c.equal, c.known))  # fmt: skip


def main(root: Path, table: Path | None) -> int:
    """Print the comparison; returns the exit status."""
    found = list(cells(root))
    console = Console(width=130)
    shown = Table(
        "benchmark", "model", "column", "published", "ours", "difference", "", title="Published and ours"
    )
    for c in found:
        if c.column in SHOWN or c.known or not c.equal:
            verdict = "equal" if c.equal and c.known != RESPONSES else c.known or "DIFFERS"
            shown.add_row(c.bench, c.model, c.column, c.published, f"{c.ours:.2f}",
                          f"{c.ours - float(c.published):+.2f}", verdict)  # fmt: skip
    console.print(shown)
    printed = [c for c in found if c.known != RESPONSES]
    wrong = [c for c in printed if not c.equal and not c.known]
    misprints = [c for c in printed if not c.equal and c.known]
    console.print(f"{len(printed)} figures in print: {len(printed) - len(wrong) - len(misprints)} equal to the printed "
                  f"digit, {len(misprints)} known misprints, {len(wrong)} differ")  # fmt: skip
    if table:
        table.parent.mkdir(parents=True, exist_ok=True)
        _write(found, table)
        table.with_suffix(".md").write_text(from_responses(found), encoding="utf-8")
        console.print(f"all of them: {table}; from responses alone: {table.with_suffix('.md')}")
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
