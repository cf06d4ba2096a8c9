"""MMMU-Pro, standard (10 options) and vision. Source: MMMU-Benchmark/MMMU@bb0b95a9, mmmu-pro/evaluate.py."""

from visreason.bench.choices import pick_letter_pro
from visreason.bench.columns import given, identity, need, options, pictures
from visreason.bench.judging import LETTER, letter
from visreason.bench.kind import Bench, Judging, Published, Row, Rules
from visreason.bench.mmmu import DOMAIN
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Score


def problem(row: Row) -> Problem:
    meta = {"subject": row.get("subject"), "difficulty": row.get("topic_difficulty")}
    return Problem(
        identity(row), str(row.get("question") or "See the picture."), pictures(row), need(row, "answer"), options(row),
        "choice", meta={k: v for k, v in meta.items() if v},
    )  # fmt: skip


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    return pick_letter_pro(response, problem.choices)


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    right = extraction.strip() == problem.answer
    return Score(1.0, extraction, "choice") if right else Score(0.0, extraction, "wrong")


def columns(problem: Problem) -> list[str]:
    subject = str(problem.meta.get("subject", ""))
    domain = DOMAIN.get(subject)
    return [c for c in (domain, subject, problem.meta.get("difficulty")) if c]


def prompt(problem: Problem) -> Style:
    ask = (
        "Answer the preceding multiple choice question. The last line of your response should be of the following "
        "format: 'Answer: $LETTER' (without quotes) where LETTER is one of the options. Think step by step before "
        "answering."
    )
    return Style("mmmu_pro", None, f"{{question}}\n{{choices}}\n{ask}", write_plain, parse_plain)


OUTPUTS = "MMMU-Benchmark/MMMU@bb0b95a9 mmmu-pro/output (if_right)"
BENCH = Bench(
    name="mmmu_pro",
    title="MMMU-Pro",
    source="MMMU-Benchmark/MMMU@bb0b95a9",
    sizes={"standard": 1730, "vision": 1730},
    files={
        "standard": ("standard (10 options)/test*.parquet", "MMMU_Pro_10c.tsv", "*.parquet"),
        "vision": ("vision/test*.parquet", "MMMU_Pro_V.tsv"),
    },
    outputs="mmmu-pro/output/*.jsonl*",
    problem=problem,
    given=given,
    read=read,
    score=score,
    columns=columns,
    prompt=prompt,
    judging=Judging(LETTER, letter),
    heeds=("random_fallback",),
    published=(
        Published("GPT-4o, standard (10), CoT", {"ALL": 55.03}, OUTPUTS),
        Published("GPT-4o, standard (10), direct", {"ALL": 40.12}, OUTPUTS),
        Published("GPT-4o, vision, CoT", {"ALL": 50.06}, OUTPUTS),
        Published("GPT-4o, vision, direct", {"ALL": 42.43}, OUTPUTS),
    ),
)
