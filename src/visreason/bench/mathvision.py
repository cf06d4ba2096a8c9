"""MATH-Vision, test and testmini. Source: mathllm/MATH-V@a1f5cc3a, evaluation/evaluate.py and utils.py."""

import re

from visreason.answer.arithmetic import NoNumber
from visreason.answer.compute import number
from visreason.answer.normalize import spell
from visreason.answer.parse import parse
from visreason.bench.columns import LETTERS, given, identity, need, options, pictures
from visreason.bench.judging import EXTRACT, reply
from visreason.bench.kind import ALL, Bench, Judging, Published, Row, Rules
from visreason.bench.mathvision_answer import find_answer
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Reason, Score

SHORT = {
    "algebra": "Alg", "analytic geometry": "AnaG", "arithmetic": "Ari", "combinatorial geometry": "CombG",
    "combinatorics": "Comb", "counting": "Cnt", "descriptive geometry": "DescG", "graph theory": "GrphT",
    "logic": "Log", "metric geometry - angle": "Angle", "metric geometry - area": "Area",
    "metric geometry - length": "Len", "solid geometry": "SolG", "statistics": "Stat", "topology": "Topo",
    "transformation geometry": "TransG",
}  # fmt: skip
UNREAD = re.compile(r"[^\x00-\x7f]|circ|\\degree|%|\\boxed|\\!|\\\$|sqrt\(|\\frac(?!\s*\{)")
"""What the authors' LaTeX reader gives up on (latex2sympy2, as their 48,640 published labels show)."""
SLASHED = re.compile(r"\d+/\d+")
"""An answer that their labels leave unread, though as an option's text it is read (problems 3013 and 2589)."""


def problem(row: Row) -> Problem:
    choices = options(row)
    meta = {"level": row.get("level"), "subject": row.get("subject", "category")}
    return Problem(
        identity(row), need(row, "question"), pictures(row), need(row, "answer"), choices,
        "choice" if choices else "auto", meta={k: v for k, v in meta.items() if v is not None},
    )  # fmt: skip


def read(problem: Problem, response: str, rules: Rules) -> str:
    return find_answer(response)


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """Right as a letter, or as the text of that letter's option; numbers are compared at two decimals."""
    answer = problem.answer or ""
    golds = [answer]
    if problem.choices and answer in LETTERS[: len(problem.choices)]:
        golds.append(problem.choices[LETTERS.index(answer)])
    if not extraction.strip():
        return Score(0.0, None, "unparsed")
    rule: Reason | None = next((r for gold in golds if (r := equal(gold, extraction))), None)
    if rule is None:
        return Score(0.0, extraction, "wrong")
    return Score(1.0, extraction, "choice" if problem.choices else rule)


def equal(gold: str, answer: str) -> Reason | None:
    r"""The authors' `is_equal`: same spelling, same lists at two decimals, or same value at two decimals.

    >>> equal("B", "b"), equal(r"\frac{1}{3}", "0.333"), equal("(1, 2)", "(1.0,2)"), equal("45", r"45^{\circ}")
    ('exact', 'numeric', 'set', None)
    """
    gold, answer = gold.lower(), answer.lower()
    if not gold.strip() or not answer.strip():
        return None
    if gold.strip() == answer.strip():
        return "exact"
    listed, found = _listed(gold), _listed(answer)
    if listed == found:
        return "set"
    if SLASHED.fullmatch(found):
        return None
    value = _rounded(listed)
    return "numeric" if value is not None and value == _rounded(found) else None


def _listed(text: str) -> str:
    """A tuple or list of more than one part with every part worked out; any other text as it is."""
    parts = text[1:-1].split(",")
    if len(parts) < 2 or text[:1] + text[-1:] not in ("()", "[]"):
        return text
    values = [p if "infty" in p or p in ("a", "-a") else _rounded(p) for p in parts]
    return text if None in values else f"{text[0]}{','.join(map(str, values))}{text[-1]}"


def _rounded(text: str) -> float | None:
    """The value of the longest beginning that is mathematics, as their reader takes it; `:` divides."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "{") - (c == "}")
        if depth < 0:
            text = text[:i]
            break
    text = re.split(r"\.(?!\d)", text)[0].strip()
    if UNREAD.search(text):
        return None
    tree = parse(spell(text.replace("$", "").replace(":", "/")))
    try:
        value = number(tree, {}) if tree is not None else None
        return None if value is None or isinstance(value, complex) else round(float(value), 2)
    except (NoNumber, OverflowError):
        return None


def columns(problem: Problem) -> list[str]:
    """The 178 cells of the authors' result files (`-level1` is `level1` here), and the README's short names."""
    subject, level = str(problem.meta.get("subject", "")), f"level{problem.meta.get('level', '')}"
    names = [SHORT[subject]] if subject in SHORT else []
    if subject:
        names.append(subject)
    if "level" in problem.meta:
        names += [level, *([f"{subject}_{level}", f"{level}_{subject}"] if subject else [])]
    return names


def prompt(problem: Problem) -> Style:
    user = (
        'Please solve the problem and put your answer in one "\\boxed{}". If it is a multiple choice question, only '
        'one letter is allowed in the "\\boxed{}".\n{question}'
    )
    return Style("mathvision", None, user, write_plain, parse_plain)


README = "mathllm/MATH-V@1d361180 README, test"
BENCH = Bench(
    name="mathvision",
    title="MATH-Vision",
    source="mathllm/MATH-V@a1f5cc3a",
    sizes={"test": 3040, "testmini": 304},
    files={
        "test": ("data/test.jsonl", "data/test-*.parquet", "MathVision.tsv"),
        "testmini": ("data/testmini.jsonl", "data/testmini-*.parquet", "MathVision_MINI.tsv"),
    },
    headline=(ALL, *(f"level{i}" for i in range(1, 6)), *SHORT.values()),
    problem=problem,
    given=given,
    score=score,
    columns=columns,
    read=read,
    prompt=prompt,
    judging=Judging(EXTRACT, reply),
    published=tuple(
        Published(model, {"ALL": value}, README)
        for model, value in {
            "GPT-4V": 22.76, "Gemini Pro": 17.66, "Qwen-VL-Max": 15.59, "InternLM-XComposer2-VL": 14.54,
            "SPHINX-MoE": 14.18, "GPT-4 CoT (caption)": 13.06, "ShareGPT4V-13B": 11.88, "LLaVA-1.5-13B": 11.12,
            "Qwen-VL-Plus": 10.72, "ShareGPT4V-7B": 10.53, "ChatGPT-3.5 CoT (caption)": 9.74, "SPHINX (V2)": 9.70,
            "LLaVA-1.5-7B": 8.52, "GPT-4 CoT (text only)": 8.16, "Random": 7.17,
        }.items()
    ),
)  # fmt: skip
