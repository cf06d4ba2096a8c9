"""Figures in print beside ours, from the files that authors released: one maker a benchmark, tied to those files."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visreason.bench import bench as find_bench
from visreason.bench.figures import figures, mean_of, sampling
from visreason.bench.files import read_text, rows
from visreason.bench.kind import ALL, Rules
from visreason.bench.mathvista import CODES, SHORT
from visreason.bench.outputs import read_outputs
from visreason.bench.problems import read_problems
from visreason.bench.scoring import by_rule, by_stored
from visreason.bench.wemath import four_dimensions
from visreason.record import Sample
from visreason.stats import Interval, mcnemar

BY_RULE, BY_ANSWER = "ALL from responses", "ALL from responses, by answer/"
RESPONSES = "another way of reading"


@dataclass(frozen=True)
class Cell:
    """A figure in print and ours from the released files, both in percent; `known` says why they may differ, `slack` by
    how much more where ours is the mean of figures that were rounded for print themselves."""

    bench: str
    model: str
    column: str
    published: str
    ours: float
    known: str = ""
    slack: float = 0.0

    @property
    def equal(self) -> bool:
        """The same to the printed digit; tables in print were often rounded to two places first.

        >>> Cell("b", "m", "ALL", "47.8", 47.7477).equal, Cell("b", "m", "ALL", "47.8", 47.72).equal
        (True, False)
        """
        digits = len(self.published.partition(".")[2])
        printed = float(self.published)
        rounded = (self.ours, round(self.ours, 2))
        return any(abs(printed - x) <= 0.5 * 10**-digits + self.slack + 1e-9 for x in rounded)


def scored(
    name: str, path: Path, data: Path | None = None, kind: str = "stored", **rules: Any
) -> list[Sample]:
    """The samples of a released file with their scores."""
    bench = find_bench(name)
    source = read_problems(bench, data, None, Path("."), images=False) if data else None
    samples = read_outputs(bench, path, source).samples
    scoring = by_rule(bench, Rules(**rules)) if kind == "rule" else by_stored(bench, Rules(**rules))
    return [replace(s, score=score) for s, score in zip(samples, scoring(samples), strict=True)]


def _figures(name: str, samples: list[Sample]) -> dict[str, float]:
    return {column: 100 * x.value for column, x in figures(find_bench(name), samples).items()}


def _mathvista(folder: Path) -> Iterator[Cell]:
    """Labels of every file but LLaVAR's follow the strict reading of whole numbers."""
    for path in sorted(folder.glob("results/*/output_*")):
        model = path.name.removeprefix("output_").partition(".")[0]
        scores = path.parent / f"scores_{model}.json"
        if not scores.exists() or model == "testmini_template_for_leaderboard_submission":
            continue
        samples = scored("mathvista", path, integer="float" if "llavar" in model.lower() else "strict")
        found = _figures("mathvista", samples)
        for group, published in _json(scores).items():
            for name, cell in ({ALL: published} if group == "average" else published).items():
                column = SHORT.get(name) or (f"{name} ({group})" if name in CODES else name)
                yield Cell("mathvista", model, name if name == "geometry reasoning" else column,
                           str(cell["accuracy"]), found.get(column, math.nan))  # fmt: skip
        yield from _from_responses("mathvista", model, samples, str(_json(scores)["average"]["accuracy"]))


def _mathvision(folder: Path) -> Iterator[Cell]:
    readme = _json(folder / "published_table_readme.json")["rows"]
    for path in sorted(folder.glob("outputs/**/*.jsonl*")):
        model = path.name.partition(".jsonl")[0]
        published = _json(path.parent / f"{model}_result.json")
        samples = scored("mathvision", path, folder)
        found = _figures("mathvision", samples)
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
        yield from _from_responses("mathvision", model, raw, f"{found[ALL]:.2f}", by_bench=True)


def _same_model(file: str, model: str) -> bool:
    """Whether a file's name and a table's speak of one model; its ALL tells which run of it."""
    plain = [re.sub(r"[^a-z0-9]", "", x.lower()) for x in (file, model)]
    return plain[0][:5] == plain[1][:5]


def _from_responses(
    name: str, model: str, samples: list[Sample], published: str, by_bench: bool = False
) -> Iterator[Cell]:
    """From raw responses alone: by the benchmark's own rule where it has one, and by `answer/`. No figure in print."""
    with_answer = [s.score.parts["answer"] for s in samples if "answer" in s.score.parts]
    if by_bench:
        share = sum(s.score.correct for s in samples) / len(samples)
        yield Cell(name, model, BY_RULE, published, 100 * share, RESPONSES)
    if len(with_answer) == len(samples):
        share = sum(with_answer) / len(samples)
        yield Cell(name, model, BY_ANSWER, published, 100 * share, RESPONSES)


def _dynamath(folder: Path) -> Iterator[Cell]:
    site = _json(folder / "published_site_scores.json")
    stated = _json(folder / "recomputed_from_csv.json")
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
        found = _figures("dynamath", scored("dynamath", path))
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
        found = _figures("logicvista", scored("logicvista", path, folder))
        table = [row.value for row in rows(path)]
        for column in find_bench("logicvista").headline:
            marks = [
                int(r["match?"]) for r in table if column in (ALL, *re.findall(r"\w+", r["reasoning skill"]))
            ]
            yield Cell("logicvista", model, column, f"{100 * sum(marks) / len(marks):.2f}", found[column])


def _mmmu(folder: Path) -> Iterator[Cell]:
    stated = {"qwen_vl": "36.1", "llava1.5_13b": "36.7"}  # what the authors' main_eval_only prints, x 100
    for path in sorted(folder.glob("mmmu/example_outputs/*/total_val_output.json")):
        found = _figures("mmmu", scored("mmmu", path, folder))
        yield Cell("mmmu", path.parent.name, ALL, stated.get(path.parent.name, "nan"), found[ALL])
    for path in sorted(folder.glob("mmmu-pro/output/*.jsonl*")):
        model = path.name.partition(".jsonl")[0]
        samples = scored("mmmu_pro", path)
        marks = [bool(s.problem.meta["judged"]) for s in samples]
        found = _figures("mmmu_pro", samples)
        yield Cell("mmmu_pro", model, ALL, f"{100 * sum(marks) / len(marks):.2f}", found[ALL])
        raw = scored("mmmu_pro", path, None, "rule")
        yield from _from_responses("mmmu_pro", model, raw, f"{found[ALL]:.2f}", by_bench=True)


def _rewardbench(folder: Path) -> Iterator[Cell]:
    printed = {p.model: p.figures for p in find_bench("rewardbench").published}
    for path in sorted(p for p in folder.rglob("*.json") if "GPM" in p.name or "readme_example" in p.name):
        model = next((m for m in printed if path.stem.endswith(m)), path.stem)
        found = _figures("rewardbench", scored("rewardbench", path))
        yield from (
            Cell("rewardbench", model, c, str(v), found[c]) for c, v in printed.get(model, {}).items()
        )
    tables = _json(folder / "published_sections.json")
    sections = ("chat", "chat_hard", "safety", "reasoning")
    for row in (r for t in tables.values() if isinstance(t, dict) for r in t["rows"]):
        known = "" if row["consistent"] else "not the mean of its four sections"
        yield Cell(
            "rewardbench tables", row["model"], "score", str(row["score"]), _mean(row, sections), known
        )
    domains = ("factuality", "precise_if", "math", "safety", "focus", "ties")
    for row in _json(folder / "rewardbench2_paper_table.json")["rows"]:
        yield Cell("rewardbench 2", row["model"], "avg", str(row["avg"]), _mean(row, domains))


def _wemath(folder: Path) -> Iterator[Cell]:
    for row in _json(folder / "published_leaderboard.json")["rows"]:
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
    for row in _json(folder / "published_leaderboard.json")["rows"]:
        for kind in ("w/o", "CoT-E"):
            parts = [row[f"{v}_{kind}"] for v in versions]
            if row[f"ALL_{kind}"] != "-" and "-" not in parts:
                column = ALL if kind == "w/o" else "ALL CoT-E"
                mean = _mean(dict(enumerate(map(float, parts))), range(5))
                yield Cell("mathverse", row["model"], column, row[f"ALL_{kind}"], mean)


def _suite(folder: Path) -> Iterator[Cell]:
    columns = ("MMMU", "MathVista", "MathVision", "MathVerse", "DynaMath", "WeMath", "LogicVista")
    for row in _json(folder / "internvl3_reasoning_table.json")["rows"]:
        yield Cell("suite", row["model"], "Overall", str(row["Overall"]), _mean(row, columns))


def _vl_rewardbench(folder: Path) -> Iterator[Cell]:
    for row in _json(folder / "published_table.json")["rows"]:
        yield Cell("vl_rewardbench", row["model"], "Macro", str(row["macro"]),
                   _mean(row, ("general", "hallucination", "reasoning")), slack=0.05)  # fmt: skip


def _counting(folder: Path) -> Iterator[Cell]:
    for path in sorted(folder.glob("src/eval/logs/*.json*")):
        printed = json.loads(read_text(path))["accuracy"]
        samples = scored("counting", path)
        yield Cell(
            "counting", path.name.partition(".")[0], ALL, f"{printed:.2f}", _figures("counting", samples)[ALL]
        )


def _geometry3k(folder: Path) -> Iterator[Cell]:
    for path in sorted(folder.glob("symbolic_solver/pred_results/*/*.json*")):
        name = path.name.partition(".json")[0].removeprefix("logic_")
        log = next(folder.glob(f"symbolic_solver/logs/*/log-{name}.log"), None)
        stated = re.search(r"num_guessed_correct: [\d.]+ \(([\d.]+)%\)", log.read_text()) if log else None
        if stated:
            found = _figures("geometry3k", scored("geometry3k", path))
            yield Cell("geometry3k", name, ALL, stated.group(1), found[ALL])


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


MAKERS = {
    "mathvista": _mathvista, "mathvision": _mathvision, "dynamath": _dynamath, "logicvista": _logicvista,
    "mmmu": _mmmu, "rewardbench": _rewardbench, "wemath": _wemath, "mathverse": _mathverse, "suite_tables": _suite,
    "vl_rewardbench": _vl_rewardbench, "r1v_eval": _counting, "geometry3k": _geometry3k,
    "r1_onevision_bench": _r1_onevision, "qwen25math_rm_maj": _best_of_n,
}  # fmt: skip


def _mean(row: Any, names: Any) -> float:
    parts = [(1.0, Interval(float(row[n]) / 100, 0.0, 1.0, 0)) for n in names]
    return 100 * mean_of(parts).value


def _json(path: Path) -> Any:
    return json.loads(read_text(path))
