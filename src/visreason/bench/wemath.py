"""We-Math, testmini. Source: We-Math/We-Math@a57a0e83, evaluation/four_dimensional_metrics.py and accuracy.py."""

import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import need, options, pictures
from visreason.bench.figures import by_column, mean_of
from visreason.bench.judging import LETTER, letter
from visreason.bench.kind import ALL, Bench, Given, Judging, Published, Row, Rules
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval, accuracy, by_problem, wilson

LETTERS = "ABCDEFGH"
NODES = "knowledge_structure_nodes.json"
SHORT = {
    "Understanding and Conversion of Units": "UCU", "Angles and Length": "AL", "Calculation of Plane Figures": "CPF",
    "Understanding of Plane Figures": "UPF", "Calculation of Solid Figures": "CSF",
    "Understanding of Solid Figures": "USF", "Basic Transformations of Figures": "BTF",
    "Cutting and Combining of Figures": "CCF", "Direction": "Dir", "Position": "Pos", "Route Map": "RoM",
    "Correspondence of Coordinates and Positions": "CCP",
}  # fmt: skip
TYPES = ("IK", "IG", "CM", "RM")


def problem(row: Row) -> Problem:
    """One step, or the composite problem (`multi`), of a group."""
    group, step = need(row, "ID"), need(row, "key")
    concept = str(row.get("knowledge concept") or "")
    meta: dict[str, Any] = {"group": group, "step": step, "concept": concept}
    if nodes := _nodes(row.file.parent):
        meta["domains"] = [[domain, node] for domain, node, name in nodes if name == concept]
    text = str(row.get("option") or "")
    marks = list(re.finditer(r"(?:(?<=\s)|(?<=;)|\A)([A-H])[.．]\s*", text))
    ends = [*(m.start() for m in marks[1:]), len(text)]
    choices = tuple(text[m.end() : e].strip(" ;\n") for m, e in zip(marks, ends, strict=False)) or options(
        row
    )
    return Problem(
        f"{group}/{step}", need(row, "question"), pictures(row, "image_path", "image"), need(row, "answer"), choices,
        meta=meta,
    )  # fmt: skip


def given(row: Row) -> Given | None:
    found = given_by_columns(row)
    if found is None or not isinstance(row.value, dict) or "key" not in row.value:
        return found
    return replace(found, id=f"{row.value.get('ID')}/{row.value['key']}")


@lru_cache(maxsize=8)
def _nodes(folder: Path) -> tuple[tuple[str, str, str], ...]:
    """Domain, node and concept of the authors' tree of knowledge, where it lies beside the problems."""
    path = next((p for p in (folder / NODES, folder.parent / NODES) if p.is_file()), None)
    rows = json.loads(path.read_text(encoding="utf-8")) if path else []
    return tuple((r["root2"], r["full node"], r["full node"].split("_")[-1]) for r in rows)


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    """The first character behind the last "Answer", if it is a letter A to H."""
    text = response.split("Answer")[-1].strip()
    for mark in "><:.":
        text = text.replace(mark, "")
    first = text.strip()[:1]
    return first if first and first in LETTERS else None


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    right = extraction.strip() == problem.answer
    return Score(1.0, extraction, "choice") if right else Score(0.0, extraction, "wrong")


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """The four dimensions of whole groups, strict and loose, one-step to three-step accuracy, and domains.

    The first answer to a problem counts. Without a whole group ALL is the plain accuracy.
    """
    groups: dict[str, dict[str, bool]] = {}
    first = {name: group[0] for name, group in by_problem(samples).items()}
    for sample in first.values():
        meta = sample.problem.meta
        groups.setdefault(meta["group"], {})[meta["step"]] = sample.score.correct
    whole = {name: steps for name, steps in groups.items() if _is_whole(name, steps)}
    if not whole:
        return {ALL: by_column(samples, lambda problem: ())[ALL]}
    found: dict[str, Interval] = {}
    for mode in ("strict", "loose"):
        kinds = [dimension(steps, mode) for steps in whole.values()]
        found |= four_dimensions({t: kinds.count(t) for t in TYPES}, mode)
    return {ALL: found["strict"], **found, **_steps(groups), **_domains(list(first.values()))}


def _is_whole(group: str, steps: dict[str, bool]) -> bool:
    """Whether every step and the composite problem are there: two steps of group `2steps_17`, three of `3steps_4`."""
    return f"{len(steps) - 1}steps" == group.partition("_")[0] and any(
        step.endswith("multi") for step in steps
    )


def dimension(steps: dict[str, bool], mode: str) -> str:
    """IK, IG, CM or RM: what a group's answers say of knowledge and reasoning.

    >>> dimension({"2steps_1": True, "2steps_2": False, "2steps_multi": True}, "strict")
    'RM'
    """
    whole = next(right for step, right in steps.items() if step.endswith("multi"))
    parts = [right for step, right in steps.items() if not step.endswith("multi")]
    if not whole:
        return "IG" if all(parts) else "IK"
    mastered = all(parts) if mode == "strict" else any(parts)
    return "CM" if mastered else "RM"


def four_dimensions(tally: dict[str, int], mode: str) -> dict[str, Interval]:
    """Score and rates from how many groups are of each kind; RM is a share of the groups answered right.

    >>> found = four_dimensions({"IK": 164, "IG": 80, "CM": 185, "RM": 96}, "strict")
    >>> [round(100 * found[k].value, 2) for k in ("strict", "IK", "IG", "CM strict", "RM strict")]
    [42.86, 31.24, 15.24, 35.24, 34.16]
    """
    n = sum(tally.values())
    values = [[1.0]] * tally["CM"] + [[0.5]] * tally["IG"] + [[0.0]] * (tally["RM"] + tally["IK"])
    right = tally["CM"] + tally["RM"]
    return {
        mode: accuracy(values),
        "IK": wilson(tally["IK"], n),
        "IG": wilson(tally["IG"], n),
        f"CM {mode}": wilson(tally["CM"], n),
        **({f"RM {mode}": wilson(tally["RM"], right)} if right else {}),
    }


def _steps(groups: dict[str, dict[str, bool]]) -> dict[str, Interval]:
    single = [right for steps in groups.values() for s, right in steps.items() if not s.endswith("multi")]
    found = {"S1": wilson(sum(single), len(single))} if single else {}
    for name, start in (("S2", "2steps"), ("S3", "3steps")):
        whole = [steps[f"{start}_multi"] for steps in groups.values() if f"{start}_multi" in steps]
        if whole:
            found[name] = wilson(sum(whole), len(whole))
    return found


def _domains(samples: list[Sample]) -> dict[str, Interval]:
    """For each domain the plain mean over its nodes of the accuracy of the steps about that concept."""
    nodes: dict[str, dict[str, list[bool]]] = {}
    for sample in samples:
        for domain, node in sample.problem.meta.get("domains", ()):
            if not sample.problem.meta["step"].endswith("multi"):
                nodes.setdefault(SHORT.get(domain, str(domain)), {}).setdefault(node, []).append(
                    sample.score.correct
                )
    return {d: mean_of([(1.0, wilson(sum(v), len(v))) for v in by.values()]) for d, by in nodes.items()}


def prompt(problem: Problem) -> Style:
    user = (
        "Solve this multiple choice question. Describe your thoughts briefly, then give the letter of your option, in "
        "this form:\n<Thought process>: <<thoughts>> <Answer>: <<letter>>\nQuestion: {question}\nOptions: {choices}"
    )
    return Style("wemath", None, user, write_plain, parse_plain)


BOARD = "We-Math.github.io@6c8d65ec, testmini"
BENCH = Bench(
    name="wemath",
    title="We-Math",
    source="We-Math/We-Math@a57a0e83",
    sizes={"testmini": 1740},
    files={"testmini": ("data/testmini.json", "data/testmini*.parquet", "WeMath.tsv")},
    headline=(
        ALL,
        "strict",
        "loose",
        "IK",
        "IG",
        "CM strict",
        "RM strict",
        "S1",
        "S2",
        "S3",
        *SHORT.values(),
    ),
    problem=problem,
    given=given,
    read=read,
    score=score,
    aggregate=aggregate,
    primary="strict",
    prompt=prompt,
    judging=Judging(LETTER, letter),
    published=(
        Published("GPT-4o", {"strict": 42.86, "loose": 60.57}, BOARD),
        Published("GPT-4V", {"strict": 31.05, "loose": 51.43}, BOARD),
        Published("Gemini-1.5-pro", {"strict": 26.38, "loose": 46.0}, BOARD),
        Published("LLaVA-NeXT-110B", {"strict": 19.24, "loose": 37.9}, BOARD),
    ),
)
