"""MMMU, validation. Source: MMMU-Benchmark/MMMU@bb0b95a9, mmmu/utils/eval_utils.py and main_eval_only.py."""

import re

from visreason.bench.choices import pick_letter
from visreason.bench.columns import given, identity, need, options, pictures
from visreason.bench.judging import EXTRACT, LETTER, letter, reply
from visreason.bench.kind import ALL, Bench, Judging, Published, Row, Rules
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Score

DOMAINS = {
    "Art & Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health & Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy",
        "Public_Health",
    ),
    "Humanities & Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech & Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power",
        "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
DOMAIN = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}
CHOICE = "multiple-choice"
MARKS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])",
)


def problem(row: Row) -> Problem | None:
    """A row of the dataset, of an output file, or of answer_dict_val.json (which has no question)."""
    if row.get("split") == "dev":  # VLMEvalKit keeps them in one file
        return None
    name = identity(row)
    answer = need(row, "answer", "ground_truth")
    choices = options(row, "options", "index2ans")
    kind = str(row.get("question_type") or (CHOICE if choices else "open"))
    subject = re.fullmatch(r"[a-z]+_(.+)_\d+", name)
    meta = {
        "question_type": kind,
        "subject": subject.group(1) if subject else str(row.get("category", "subject")),
    }
    if kind != CHOICE:
        found = row.get("answer", "ground_truth")
        if not isinstance(found, list):  # written as text in tables; an interval is no list
            quoted = re.findall(r"""'([^']*)'|"([^"]*)\"""", answer) if answer.startswith("[") else []
            found = [a or b for a, b in quoted] or [answer]
        golds = list(map(str, found))
        return Problem(name, str(row.get("question") or ""), pictures(row), golds[0], (), "auto",
                       meta=meta | ({"accepted": golds} if len(golds) > 1 else {}))  # fmt: skip
    return Problem(name, str(row.get("question") or ""), pictures(row), answer, choices, "choice", meta=meta)


def read(problem: Problem, response: str, rules: Rules) -> str | None:
    if problem.meta.get("question_type") != CHOICE:
        return response
    if not problem.choices:
        raise DataError(f"problem {problem.id!r}: expected options, found none; give data that has them")
    return pick_letter(response, problem.choices)


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """A letter must be the gold one; an open answer is read in the authors' way first."""
    if problem.meta.get("question_type") == CHOICE:
        right = extraction.strip() == problem.answer
        return Score(1.0, extraction, "choice") if right else Score(0.0, extraction, "wrong")
    golds = [problem.answer or "", *problem.meta.get("accepted", ())]
    right = _open_is_right([n for g in golds for n in _normal(str(g))], read_open(extraction))
    return Score(1.0, extraction[:200], "exact") if right else Score(0.0, extraction[:200], "wrong")


def read_open(response: str) -> set[str | float]:
    """What an open response may be saying: the tails behind words as "is" and "so", and every number in them.

    >>> sorted(map(str, read_open("So the mean is 4.256 cm.")))
    ['4.256 cm', '4.26']
    """
    response = response.strip().strip(".").lower()
    parts = response.split("\n")
    found = []
    for i, part in enumerate(parts):
        marks = (*MARKS, "=") if i == len(parts) - 1 else MARKS
        tails = [t for m in marks if m in part and (t := part.split(m)[-1].strip())]
        if tails and (tail := min(tails, key=len)) not in tuple(":,.!?;'"):
            found.append(tail)
    found = found or [response]
    numbers = [n for text in found for pattern in NUMBERS for n in re.findall(pattern, text)]
    return {value for text in (*found, *numbers) for value in _normal(text)}


def _normal(text: str) -> list[str | float]:
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lowered = text.lower()
        return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


def _open_is_right(golds: list[str | float], said: set[str | float]) -> bool:
    words = [g for g in golds if isinstance(g, str)]
    return any(any(w in s for w in words) if isinstance(s, str) else s in golds for s in said)


def columns(problem: Problem) -> list[str]:
    subject = str(problem.meta.get("subject"))
    return [*([DOMAIN[subject]] if subject in DOMAIN else []), subject]


def prompt(problem: Problem) -> Style:
    ask = "Answer with the option's letter from the given choices directly." if problem.choices else (
        "Answer the question using a single word or phrase."
    )  # fmt: skip
    below = "\n{choices}" if problem.choices else ""
    return Style("mmmu", None, f"{{question}}{below}\n\n{ask}", write_plain, parse_plain)


BOARD = (
    "mmmu-benchmark.github.io leaderboard_data.json @027ec0b9 (close to, not equal to, the released outputs)"
)
BENCH = Bench(
    name="mmmu",
    title="MMMU",
    source="MMMU-Benchmark/MMMU@bb0b95a9",
    sizes={"val": 900},
    files={
        "val": (
            "mmmu/answer_dict_val.json",
            "validation*.parquet",
            "*/validation*.parquet",
            "MMMU_DEV_VAL.tsv",
        )
    },
    outputs="*/output.json",
    headline=(ALL, *DOMAINS),
    problem=problem,
    given=given,
    read=read,
    score=score,
    columns=columns,
    prompt=prompt,
    judging=Judging(LETTER, letter),
    judging_open=Judging(EXTRACT, reply),
    heeds=("random_fallback",),
    published=(
        Published("LLaVA-1.5-13B", {"ALL": 36.4}, BOARD),
        Published("Qwen-VL-7B-Chat", {"ALL": 35.9}, BOARD),
    ),
)
