"""MathVista, testmini. Source: lupantech/MathVista@53d52587, evaluation/calculate_score.py and README."""

from visreason.answer.recorded import mathvista_form, names_option
from visreason.bench.columns import LETTERS, given, identity, need, options, pictures
from visreason.bench.judging import EXTRACT, reply
from visreason.bench.kind import ALL, NEAREST, Bench, Judging, Published, Row, Rules
from visreason.prompt import Style
from visreason.prompt.layouts import parse_plain, write_plain
from visreason.record import Problem, Score

SHORT = {
    "figure question answering": "FQA",
    "geometry problem solving": "GPS",
    "math word problem": "MWP",
    "textbook question answering": "TQA",
    "visual question answering": "VQA",
    "algebraic reasoning": "ALG",
    "arithmetic reasoning": "ARI",
    "geometry reasoning": "GEO",
    "logical reasoning": "LOG",
    "numeric commonsense": "NUM",
    "scientific reasoning": "SCI",
    "statistical reasoning": "STA",
}
CODES = frozenset(SHORT.values())
DIVIDED_BY = (
    "question_type",
    "answer_type",
    "language",
    "source",
    "category",
    "task",
    "context",
    "grade",
    "skills",
)
HINTS = {
    "integer": "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    "float1": "requiring a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, "
    "1.4, at the end.",
    "float2": "requiring a floating-point number with two decimal places and provide the final value, e.g., 1.23, "
    "1.34, 1.45, at the end.",
    "list": "requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the "
    "end.",
}


def problem(row: Row) -> Problem:
    meta = dict(row.get("metadata") or {})
    for name in (
        "question_type",
        "answer_type",
        "precision",
        "unit",
        "category",
        "task",
        "skills",
        "source",
        "grade",
    ):
        if (value := row.get(name)) is not None:
            meta.setdefault(name, options(row, name) if name == "skills" else value)
    choices = options(row)
    answer = need(row, "answer", "answer_option")
    if choices and "A" in (row.value or {}) and len(answer) == 1 and answer in LETTERS[: len(choices)]:
        answer = choices[LETTERS.index(answer)]  # VLMEvalKit keeps the letter
    if meta.get("answer_type") == "integer":
        answer = answer.removesuffix(".0")  # sheets keep whole numbers as decimals
    meta.setdefault("question_type", "multi_choice" if choices else "free_form")
    return Problem(
        identity(row),
        need(row, "question"),
        pictures(row),
        answer,
        choices,
        "choice" if choices else "auto",
        meta=meta,
    )


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    """Nearest option by edit distance (an empty extraction too); numbers in the normal form of their type."""
    found = mathvista_form(problem, extraction, rules.integer)
    choice = problem.meta["question_type"] == "multi_choice"
    parts = {NEAREST: 1.0} if choice and not names_option(problem, extraction) else {}
    if found is None or found != problem.answer:
        return Score(0.0, found, "unparsed" if not extraction.strip() else "wrong", parts)
    return Score(1.0, found, "choice" if problem.choices else "exact", parts)


def direct(problem: Problem, response: str) -> str | None:
    """What evaluation/extract_answer.py asks no one for: an option's text, or a number, that is the whole response."""
    kind = problem.meta.get("answer_type")
    if problem.choices:
        return response if response in problem.choices else None
    try:
        return str(int(response)) if kind == "integer" else str(float(response)) if kind == "float" else None
    except ValueError:
        return None


def columns(problem: Problem) -> list[str]:
    names: list[str] = []
    for field in DIVIDED_BY:
        value = problem.meta.get(field)
        for name in value if isinstance(value, list | tuple) else [value]:
            if name is not None:
                names.append(
                    SHORT.get(str(name)) or (f"{name} ({field})" if str(name) in CODES else str(name))
                )
    return names


def prompt(problem: Problem) -> Style:
    """The query of evaluation/build_query.py, without captions and demonstrations."""
    kind = str(problem.meta.get("answer_type"))
    unit = f" (Unit: {problem.meta['unit']})" if problem.meta.get("unit") else ""
    if problem.choices:
        hint, below = (
            "and provide the correct option letter, e.g., A, B, C, D, at the end.",
            "\nChoices:\n{choices}",
        )
    else:
        kind += str(int(float(problem.meta.get("precision") or 1))) if kind == "float" else ""
        hint, below = HINTS.get(kind, "and provide the final answer at the end."), ""
    user = f"Hint: Please answer the question {hint}\nQuestion: {{question}}{unit}{below}"
    return Style("mathvista", None, user, write_plain, parse_plain)


README = "lupantech/MathVista@53d52587 README, testmini"
BENCH = Bench(
    name="mathvista",
    title="MathVista",
    source="lupantech/MathVista@53d52587",
    empty_scores=True,
    heeds=("integer",),
    sizes={"testmini": 1000, "test": 5141},
    files={
        "testmini": ("data/testmini.json", "data/testmini*.parquet", "MathVista_MINI.tsv"),
        "test": ("data/test.json", "data/test-*.parquet"),
    },
    headline=(ALL, *SHORT.values()),
    problem=problem,
    given=given,
    score=score,
    columns=columns,
    prompt=prompt,
    judging=Judging(EXTRACT, reply, direct=direct),
    published=tuple(
        Published(model, {"ALL": value}, README)
        for model, value in {
            "Random Chance": 17.9, "Frequent Guess": 26.3, "ChatGPT 2-shot CoT": 26.8, "Multimodal Bard": 34.8,
            "LLaVA (LLaMA-2-13B)": 26.1, "InstructBLIP (Vicuna-7B)": 25.3, "LLaVAR": 25.2,
            "LLaMA-Adapter-V2 (7B)": 23.9, "miniGPT4 (LLaMA-2-7B)": 23.1, "mPLUG-Owl (LLaMA-7B)": 22.2,
            "IDEFICS (9B-Instruct)": 19.8, "Zero-shot GPT-4": 26.1, "Zero-shot Claude-2": 26.4,
            "Zero-shot ChatGPT": 23.5,
        }.items()
    ),
)  # fmt: skip
