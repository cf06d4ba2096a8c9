"""Figures in print beside ours, from the outputs that authors released: one maker a benchmark, tied to their files."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from visreason.bench import bench as find_bench
from visreason.bench.cells import Cell, all_figures, from_responses, parsed, scored
from visreason.bench.figures import sampling
from visreason.bench.files import read_text, rows
from visreason.bench.kind import ALL, Rules
from visreason.bench.mathvista import CODES, SHORT
from visreason.bench.outputs import read_outputs
from visreason.bench.scoring import by_stored


def _mathvista(folder: Path) -> Iterator[Cell]:
    """Labels of every file but LLaVAR's follow the strict reading of whole numbers."""
    for path in sorted(folder.glob("results/*/output_*")):
        model = path.name.removeprefix("output_").partition(".")[0]
        scores = path.parent / f"scores_{model}.json"
        if not scores.exists() or model == "testmini_template_for_leaderboard_submission":
            continue
        samples = scored("mathvista", path, integer="float" if "llavar" in model.lower() else "strict")
        found = all_figures("mathvista", samples)
        for group, published in parsed(scores).items():
            for name, cell in ({ALL: published} if group == "average" else published).items():
                column = SHORT.get(name) or (f"{name} ({group})" if name in CODES else name)
                yield Cell("mathvista", model, name if name == "geometry reasoning" else column,
                           str(cell["accuracy"]), found.get(column, math.nan))  # fmt: skip
        yield from from_responses("mathvista", model, samples, str(parsed(scores)["average"]["accuracy"]))


def _mathvision(folder: Path) -> Iterator[Cell]:
    readme = parsed(folder / "published_table_readme.json")["rows"]
    for path in sorted(folder.glob("outputs/**/*.jsonl*")):
        model = path.name.partition(".jsonl")[0]
        published = parsed(path.parent / f"{model}_result.json")
        samples = scored("mathvision", path, folder)
        found = all_figures("mathvision", samples)
        for name, text in published.items():
            column = ALL if name == "-all" else name.removeprefix("-")
            yield Cell("mathvision", model, column, text.partition("=")[2].rstrip("%"), found[column])
        same = (r for r in readme if _same_model(model, r["Model"]) and r["ALL"] == f"{found[ALL]:.2f}")
        row = next(same, {})
        yield from (
            Cell("mathvision README", model, c, v, found[c])
            for c, v in row.items()
            if c in found and c != ALL
        )
        raw = scored("mathvision", path, folder, "rule")
        yield from from_responses("mathvision", model, raw, f"{found[ALL]:.2f}", by_bench=True)


def _same_model(file: str, model: str) -> bool:
    """Whether a file's name and a table's speak of one model; its ALL tells which run of it."""
    plain = [re.sub(r"[^a-z0-9]", "", x.lower()) for x in (file, model)]
    return plain[0][:5] == plain[1][:5]


def _dynamath(folder: Path) -> Iterator[Cell]:
    site = parsed(folder / "published_site_scores.json")
    stated = parsed(folder / "recomputed_from_csv.json")
    names = {
        "GPT4o": "Zero-shot GPT-4o", "InternVL2-26b": "InternVL2-26B", "InternVL2-8b": "InternVL2-8B",
        "InternVL2-76B": "InternVL2-76B", "InternVL2-40B": "InternVL2-40B", "Qwen2-72B": "Qwen2-VL-72B",
        "Qwen2-7B": "Qwen2-VL-7B", "llama-3.2-90B": "Llama-3.2-90B", "llava1.6-34B": "Llava-v1.6-34B",
        "llava1.6-vicuna-13B": "Llava-v1.6-vicuna-13B", "llava1.5-7B": "Llava-v1.5-7B",
        "deepseek7B": "Deepseek-VL-7B-chat", "claude3.5": "Zero-shot Claude-3.5",
        "Gemini1.5-Pro": "Zero-shot Gemini Pro 1.5",
    }  # fmt: skip
    for path in sorted(folder.glob("samples_and_result/*.csv")):
        model = path.name.removesuffix("-result.csv")
        found = all_figures("dynamath", scored("dynamath", path))
        for case, prefix, agreeing in (
            ("average_case", "", "average_cells_matching_published"),
            ("worst_case", "worst ", "worst_cells_matching_published"),
        ):
            for column, value in site[case].get(names.get(model, model), {}).items():
                known = (
                    ""
                    if column in stated[model][agreeing]
                    else "the site's own tables don't follow from its files"
                )
                yield Cell("dynamath", model, prefix + column, str(value), found[prefix + column], known)


def _logicvista(folder: Path) -> Iterator[Cell]:
    for path in sorted(folder.glob("eval/results/*.csv*")):
        model = path.name.partition("-accuracy")[0]
        found = all_figures("logicvista", scored("logicvista", path, folder))
        table = [row.value for row in rows(path)]
        for column in find_bench("logicvista").headline:
            marks = [
                int(r["match?"]) for r in table if column in (ALL, *re.findall(r"\w+", r["reasoning skill"]))
            ]
            yield Cell("logicvista", model, column, f"{100 * sum(marks) / len(marks):.2f}", found[column])


def _mmmu(folder: Path) -> Iterator[Cell]:
    stated = {"qwen_vl": "36.1", "llava1.5_13b": "36.7"}  # what the authors' main_eval_only prints, x 100
    for path in sorted(folder.glob("mmmu/example_outputs/*/total_val_output.json")):
        found = all_figures("mmmu", scored("mmmu", path, folder))
        yield Cell("mmmu", path.parent.name, ALL, stated.get(path.parent.name, "nan"), found[ALL])
    for path in sorted(folder.glob("mmmu-pro/output/*.jsonl*")):
        model = path.name.partition(".jsonl")[0]
        samples = scored("mmmu_pro", path)
        marks = [bool(s.problem.meta["judged"]) for s in samples]
        found = all_figures("mmmu_pro", samples)
        yield Cell("mmmu_pro", model, ALL, f"{100 * sum(marks) / len(marks):.2f}", found[ALL])
        raw = scored("mmmu_pro", path, None, "rule")
        yield from from_responses("mmmu_pro", model, raw, f"{found[ALL]:.2f}", by_bench=True)


def _rewardbench(folder: Path) -> Iterator[Cell]:
    printed = {p.model: p.figures for p in find_bench("rewardbench").published}
    for path in sorted(p for p in folder.rglob("*.json") if "GPM" in p.name or "readme_example" in p.name):
        model = next((m for m in printed if path.stem.endswith(m)), path.stem)
        found = all_figures("rewardbench", scored("rewardbench", path))
        yield from (
            Cell("rewardbench", model, c, str(v), found[c]) for c, v in printed.get(model, {}).items()
        )


def _counting(folder: Path) -> Iterator[Cell]:
    for path in sorted(folder.glob("src/eval/logs/*.json*")):
        printed = json.loads(read_text(path))["accuracy"]
        samples = scored("counting", path)
        yield Cell(
            "counting",
            path.name.partition(".")[0],
            ALL,
            f"{printed:.2f}",
            all_figures("counting", samples)[ALL],
        )


def _geometry3k(folder: Path) -> Iterator[Cell]:
    for path in sorted(folder.glob("symbolic_solver/pred_results/*/*.json*")):
        name = path.name.partition(".json")[0].removeprefix("logic_")
        log = next(folder.glob(f"symbolic_solver/logs/*/log-{name}.log"), None)
        stated = re.search(r"num_guessed_correct: [\d.]+ \(([\d.]+)%\)", log.read_text()) if log else None
        if stated:
            found = all_figures("geometry3k", scored("geometry3k", path))
            yield Cell("geometry3k", name, ALL, stated.group(1), found[ALL])


def _best_of_n(folder: Path) -> Iterator[Cell]:
    """Stated by the authors' script, rm_maj_eval.py, for its example file."""
    bench = find_bench("flat")
    samples = read_outputs(bench, next(iter(sorted(folder.glob("math_cot_100.jsonl*")))), None, 8).samples
    samples = [replace(s, score=x) for s, x in zip(samples, by_stored(bench, Rules())(samples), strict=True)]
    found = sampling(samples, [s.problem.meta["reward"] for s in samples])
    for column, stated in {
        "best@8": "94.0",
        "majority@8": "93.0",
        "average@8": "91.0",
        "pass@8": "96.0",
    }.items():
        yield Cell("best of n", "math_cot_100", column, stated, 100 * found[column].value)


OUTPUTS = {
    "mathvista": _mathvista, "mathvision": _mathvision, "dynamath": _dynamath, "logicvista": _logicvista,
    "mmmu": _mmmu, "rewardbench": _rewardbench, "r1v_eval": _counting, "geometry3k": _geometry3k,
    "qwen25math_rm_maj": _best_of_n,
}  # fmt: skip
"""Folders of released outputs, and what makes cells of each."""
