"""R1-Onevision-Bench, 942 problems. The authors publish no scorer; the paper (arXiv 2503.10615) lets GPT-4o-mini judge.

Without a judge `answer/` reads and compares. Domain sizes: wuxu0119/r1-onevision-robustness-study@6ec447bf.
"""

from visreason.answer import check
from visreason.bench.columns import given, identity, need, options, pictures
from visreason.bench.judging import EXTRACT, VERDICT, reply
from visreason.bench.kind import ALL, Bench, Judging, Published, Row, Rules
from visreason.prompt import STYLES, Style
from visreason.record import Problem, Score

DOMAINS = ("Mathematics", "Physics", "Biology", "Chemistry", "Deduction")


def problem(row: Row) -> Problem:
    """Category (domain) and grade under the names that copies of the data have."""
    meta = {"category": row.get("category", "domain", "subject"), "grade": row.get("grade", "level")}
    return Problem(
        identity(row), need(row, "question", "problem"), pictures(row), need(row, "answer", "solution"), options(row),
        meta={k: v for k, v in meta.items() if v is not None},
    )  # fmt: skip


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    return check(problem, extraction)


def columns(problem: Problem) -> list[str]:
    return [str(v) for k in ("category", "grade") if (v := problem.meta.get(k)) is not None]


def prompt(problem: Problem) -> Style:
    return STYLES["r1_onevision_eval"]


PAPER = "arXiv 2503.10615, judged by GPT-4o-mini"
BENCH = Bench(
    name="r1_onevision_bench",
    title="R1-Onevision-Bench",
    source="Fancy-MLLM/R1-Onevision@976293f8",
    sizes={"test": 942},
    files={"test": ("*.json*", "data/*.parquet", "*.parquet", "*.tsv")},
    headline=(ALL, *DOMAINS),
    problem=problem,
    given=given,
    score=score,
    columns=columns,
    prompt=prompt,
    judging=Judging(EXTRACT, reply, VERDICT),
    published=(
        Published("Qwen2.5-VL-7B", {ALL: 32.1}, PAPER),
        Published("R1-Onevision-7B", {ALL: 36.2}, PAPER),
        Published("Qwen2.5-VL-72B", {ALL: 52.0}, PAPER),
    ),
)
