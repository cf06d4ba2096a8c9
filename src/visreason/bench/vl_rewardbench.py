"""VL-RewardBench, about 1,250 pairs. Source: vl-rewardbench/VL_RewardBench@9b10abdc, inference_hf.py, cal.py."""

import re
from dataclasses import replace
from typing import Any

from visreason.bench import pairs
from visreason.bench.columns import identity, listed, need, pictures
from visreason.bench.figures import mean_of
from visreason.bench.kind import ALL, Bench, Given, Published, Row, Rules
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.prompt.styles import text
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval, by_problem, wilson

GROUPS = {
    "General": ("vlfeedback", "wildvision-battle"),
    "Hallucination": ("povid", "rlhf-v", "rlaif-v"),
    "Reasoning": ("reasoning_tasks",),
}
GROUP = {source: group for group, sources in GROUPS.items() for source in sources}
PREFIXES = (
    ("RLAIF", "rlaif-v"), ("RLHF", "rlhf-v"), ("mathverse", "reasoning_tasks"), ("mmmu", "reasoning_tasks"),
    ("wildvision", "wildvision-battle"), ("hallucination", "povid"),
)  # fmt: skip
CONCLUDES = re.compile(r"Overall Judgment|Therefore", re.IGNORECASE)
BETTER = re.compile(r"Answer\s*(\d+)\s*is\s*(?:the\s*)?(?:slightly\s*)?better", re.IGNORECASE)
"""The authors look for both in one pattern, which takes hours over a run of spaces: the last of the second behind the
first of the first is what it finds."""


def problem(row: Row) -> Problem:
    """A pair: `human_ranking` is a permutation in which 0 marks the better answer. In the authors' outputs `ranking`,
    with the order in `meta`; in VLMEvalKit's `answer`, and answers of odd length together were swapped."""
    name = identity(row)
    ranking, responses = (
        listed(row, "human_ranking", "ranking", "answer"),
        listed(row, "response", "responses"),
    )
    if not isinstance(ranking, list) or sorted(ranking[:2]) != [0, 1]:
        raise DataError(f"{row.where}: expected human_ranking [0, 1] or [1, 0], found {ranking!r}")
    meta: dict[str, object] = {"source": source(name)}
    if isinstance(responses, list):
        meta["responses"] = [str(r) for r in responses]
    if (turn := _turn(row, responses)) is not None:
        meta["swapped"] = str(turn) in ("1", "True", "true")
    question = need(row, "query", "question").replace("<image>\n", "").replace("<image>", "").strip()
    return Problem(name, question, pictures(row), str(ranking.index(0) + 1), meta=meta)


def _turn(row: Row, responses: Any) -> Any:
    """Whether the answers had changed places, where the row says so."""
    told = row.get("random_number", "swapped")
    if told is None and isinstance(about := row.get("meta"), dict):
        told = about.get("random_number")
    if told is None and isinstance(responses, list) and row.get("prediction") is not None:
        told = sum(map(len, responses)) % 2
    return told


def source(name: str) -> str:
    """The data set a pair comes from, by the beginning of its id.

    >>> source("RLAIF-V-12"), source("mathverse_3"), source("17")
    ('rlaif-v', 'reasoning_tasks', 'vlfeedback')
    """
    start = re.split(r"[_-]", name)[0]
    return next((found for prefix, found in PREFIXES if start == prefix), "vlfeedback")


def unfold(row: Row) -> list[Row]:
    """The authors' outputs may lie under the key "0"."""
    inner = row.value.get("0") if isinstance(row.value, dict) else None
    return [replace(row, value=inner)] if isinstance(inner, dict) else [row]


def given(row: Row) -> Given | None:
    """Scores of both answers, or what a judge said: in a column, or in the authors' outputs inside `meta`."""
    about = row.get("meta")
    if isinstance(about, dict) and "filter_choice" in about:
        correct = {"agree": True, "reject": False}.get(about.get("flag_status", ""))
        return Given(identity(row), str(about["filter_choice"]), correct=correct)
    return pairs.given(row, identity(row))


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    """The answer that is said to be better, by its number in the original order."""
    text = response.replace("\n", "").replace("*", "")
    start = CONCLUDES.search(text)
    said = BETTER.findall(text, start.end()) if start else []
    if not said or said[-1] not in ("1", "2"):
        return None
    number = int(said[-1])
    return str(3 - number if problem.meta.get("swapped") else number)


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    right = extraction == problem.answer
    return Score(1.0, extraction, "choice") if right else Score(0.0, extraction, "wrong")


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """By pair the majority of its trials; undecided pairs are left out, as the authors do; Macro is the mean of groups.

    `position 1` and `position 2` are the shares of right votes where the better answer stood there.
    """
    tally: dict[str, list[bool]] = {ALL: []}
    for group in by_problem(samples).values():
        decided = _decided(group)
        name = GROUP[group[0].problem.meta["source"]]
        tally.setdefault(name, [])
        if decided is not None:
            tally[ALL].append(decided)
            tally[name].append(decided)
    found = {name: wilson(sum(v), len(v)) for name, v in tally.items() if v}
    groups = [(1.0, found[g]) for g in GROUPS if g in found]
    if ALL in found:
        found["Overall"] = found[ALL]
    return {**found, **({"Macro": mean_of(groups)} if groups else {}), **_by_position(samples)}


def _decided(group: list[Sample]) -> bool | None:
    """True where more than half of the votes agree with people, False where more than half do not, else None."""
    agree = sum(s.score.correct for s in group)
    reject = sum(s.score.reason == "wrong" for s in group)
    return True if 2 * agree > len(group) else False if 2 * reject > len(group) else None


def _by_position(samples: list[Sample]) -> dict[str, Interval]:
    found: dict[str, list[bool]] = {}
    for sample in samples:
        if "swapped" in sample.problem.meta and (sample.score.correct or sample.score.reason == "wrong"):
            first = (sample.problem.answer == "1") != sample.problem.meta["swapped"]
            found.setdefault(f"position {1 if first else 2}", []).append(sample.score.correct)
    return {name: wilson(sum(v), len(v)) for name, v in sorted(found.items())}


def prompt(problem: Problem) -> Style:
    return Style("vl_rewardbench", None, "{question}", write_plain, parse_plain)


PAPER = "arXiv 2501.12368 Table 3"
BENCH = Bench(
    name="vl_rewardbench",
    title="VL-RewardBench",
    source="vl-rewardbench/VL_RewardBench@9b10abdc",
    sizes={"test": 1247},
    files={"test": ("data/test*.parquet", "*.parquet", "*.json*", "*.tsv")},
    headline=("Overall", "Macro", *GROUPS),
    problem=problem,
    unfold=unfold,
    given=given,
    read=read,
    score=score,
    aggregate=aggregate,
    trial=text("judge.pair.md"),
    heeds=("trials",),
    primary="Macro",
    prompt=prompt,
    published=tuple(
        Published(model, {"General": g, "Hallucination": h, "Reasoning": r, "Overall": o, "Macro": m}, PAPER)
        for model, g, h, r, o, m in (
            ("Gemini-1.5-Pro", 50.8, 72.5, 64.2, 67.2, 62.5),
            ("GPT-4o", 49.1, 67.6, 70.5, 65.8, 62.4),
            ("IXC-2.5-Reward", 84.7, 62.5, 62.9, 65.8, 70.0),
            ("Qwen2-VL-7B", 31.6, 19.1, 51.1, 28.3, 33.9),
        )
    ),
)
