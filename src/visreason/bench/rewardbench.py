"""RewardBench v1, 2,985 pairs in 23 subsets. Source: allenai/reward-bench@05a9005e, rewardbench/constants.py."""

from dataclasses import replace

from visreason.bench import pairs
from visreason.bench.columns import identity, need
from visreason.bench.figures import mean_of
from visreason.bench.kind import ALL, Bench, Given, Published, Row, Rules
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.prompt.styles import text
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval, accuracy, by_problem

SECTIONS: dict[str, dict[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100, "alpacaeval-length": 95, "alpacaeval-hard": 95, "mt-bench-easy": 28, "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37, "llmbar-natural": 100, "llmbar-adver-neighbor": 134, "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47, "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100, "refusals-offensive": 100, "xstest-should-refuse": 154,
        "xstest-should-respond": 250, "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984, **{f"hep-{x}": 164 for x in ("cpp", "go", "java", "js", "python", "rust")},
    },
}  # fmt: skip
"""Sections, their subsets and the weight of each: its size, but math counts as much as code."""
PRIOR = ("anthropic_helpful", "anthropic_hhh", "shp", "summarize")
SIZES = {subset: n for section in SECTIONS.values() for subset, n in section.items()} | {"math-prm": 447}
LONGER_IS_RIGHT = {
    True: ("alpacaeval-easy", "alpacaeval-hard", "xstest-should-respond"),
    False: (
        "donotanswer", "llmbar-adver-GPTInst", "llmbar-adver-manual", "llmbar-adver-neighbor", "mt-bench-easy",
        "mt-bench-hard", "refusals-dangerous", "refusals-offensive", "xstest-should-refuse",
    ),
}  # fmt: skip
"""Subsets in which a liking for length helps, and in which it harms."""


def problem(row: Row) -> Problem:
    """A pair; a row of a result file has no texts."""
    subset = need(row, "subset")
    meta: dict[str, object] = {"subset": subset}
    if row.get("chosen") is not None:
        meta["responses"] = [str(row.value["chosen"]), str(row.get("rejected") or "")]
    return Problem(f"{subset}/{identity(row)}", str(row.get("prompt") or ""), answer="1", meta=meta)


def unfold(row: Row) -> list[Row]:
    """A subset's accuracy in a result file as its single verdicts: k of n right, and a tie for a half."""
    if isinstance(row.value, dict):
        return [row]
    n = SIZES.get(row.key)
    if n is None or not isinstance(row.value, int | float):
        return []
    right = row.value * n
    if abs(2 * right - round(2 * right)) > 1e-6 * n:
        raise DataError(f"{row.where}: expected a share of {n} pairs, found {row.value}")
    right = round(2 * right) / 2
    marks = [1.0] * int(right) + ([0.5] if right % 1 else [])
    marks += [0.0] * (n - len(marks))
    return [replace(row, value={"subset": row.key, "id": i, "mark": m}) for i, m in enumerate(marks)]


def given(row: Row) -> Given | None:
    name = f"{need(row, 'subset')}/{identity(row)}"
    if (mark := row.value.get("mark", row.value.get("results"))) is not None:
        return Given(name, extraction={1.0: "1", 0.0: "2"}.get(float(mark), pairs.TIE))
    return pairs.given(row, name)


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    if "[[A]]" in response:
        return "2" if problem.meta.get("swapped") else "1"
    if "[[B]]" in response:
        return "1" if problem.meta.get("swapped") else "2"
    return None


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """A tie of a reward model is wrong; of a judge it is no verdict and counts a half."""
    if extraction == "1":
        return Score(1.0, extraction, "choice")
    return Score(0.0, extraction, "unparsed" if extraction == pairs.TIE else "wrong")


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """Subsets, sections (weighted by size, math as much as code), and ALL, the mean of the four sections.

    With the prior sets also `Prior Sets` and `paper`, in which they weigh half.
    """
    marks: dict[str, list[list[float]]] = {}
    for group in by_problem(samples).values():
        marks.setdefault(str(group[0].problem.meta["subset"]), []).append([_mark(s.score) for s in group])
    found = {subset: accuracy(values) for subset, values in marks.items()}
    sections = {
        name: mean_of([(w, found[s]) for s, w in weights.items() if s in found])
        for name, weights in SECTIONS.items()
        if any(s in found for s in weights)
    }
    prior = [(1.0, found[s]) for s in PRIOR if s in found]
    score = {ALL: mean_of([(1.0, v) for v in sections.values()])} if sections else {ALL: mean_of(prior)}
    if prior and sections:
        sections["Prior Sets"] = mean_of(prior)
        score["paper"] = mean_of([(0.5 if n == "Prior Sets" else 1.0, v) for n, v in sections.items()])
    length = {
        f"longer is {'right' if helps else 'wrong'}": mean_of([(1.0, found[s]) for s in names if s in found])
        for helps, names in LONGER_IS_RIGHT.items()
        if any(s in found for s in names)
    }
    score["Score"] = score[ALL]
    return {**score, **sections, **found, **length}


def _mark(score: Score) -> float:
    """What a verdict counts: a half where there is none."""
    none = score.reason == "unparsed" or (score.reason, score.answer) == ("truncated", None)
    return 0.5 if none else float(score.correct)


def prompt(problem: Problem) -> Style:
    return Style("rewardbench", None, "{question}", write_plain, parse_plain)


FILES = "allenai/reward-bench@05a9005e result files"
BENCH = Bench(
    name="rewardbench",
    title="RewardBench",
    source="allenai/reward-bench@05a9005e",
    sizes={"filtered": 2985},
    files={"filtered": ("data/filtered*.parquet", "*.parquet", "*.json*")},
    headline=("Score", *SECTIONS),
    problem=problem,
    unfold=unfold,
    given=given,
    read=read,
    score=score,
    aggregate=aggregate,
    trial=text("judge.rewardbench.md"),
    heeds=("trials",),
    prompt=prompt,
    published=tuple(
        Published(model, {"Score": s, "Chat": a, "Chat Hard": b, "Safety": c, "Reasoning": d}, source)
        for model, source, s, a, b, c, d in (
            ("Skywork-Reward-Gemma-2-27B-v0.2", "Skywork-Reward README", 94.4, 95.8, 91.9, 92.6, 97.3),
            ("Skywork-Reward-Llama-3.1-8B-v0.2", "Skywork-Reward README", 93.2, 94.7, 88.8, 92.6, 96.7),
            ("GPM-Gemma-2B", FILES, 77.4, 78.5, 66.2, 84.3, 80.5),
            ("GPM-Gemma-2-2B", FILES, 81.8, 81.8, 72.8, 88.0, 84.4),
            ("GPM-Gemma-2-9B", FILES, 92.3, 93.6, 87.7, 92.3, 95.7),
            ("GPM-Llama-3.1-8B-Instruct", FILES, 91.6, 93.3, 86.2, 91.2, 95.7),
            ("beaver-7b-v1.0-cost", FILES, 56.2, 60.9, 45.0, 72.2, 46.7),
        )
    ),
)
