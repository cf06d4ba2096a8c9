"""Small files in the form that authors publish, written by hand, and script engines that answer or judge."""

import json
from dataclasses import replace
from pathlib import Path

from visreason.bench.columns import given, identity, need
from visreason.bench.kind import Bench, Row, Rules
from visreason.bench.mathvision import BENCH as MATHVISION
from visreason.record import Completion, Problem, Score


def mathvision(folder: Path, n: int = 6, images: bool = False) -> Path:
    """Problems whose answer is their number, and a folder for their pictures."""
    data = folder / "data" / "test.jsonl"
    data.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": str(i), "question": f"What is {i}?", "options": [], "answer": str(i), "level": 1 + i % 5,
         "subject": "algebra"} | ({"image": f"images/{i}.png"} if images else {})
        for i in range(n)
    ]  # fmt: skip
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def outputs(path: Path, answers: dict[str, str], **columns) -> Path:
    """A file of outputs: id and response."""
    path.write_text(
        "".join(json.dumps({"id": i, "response": r, **columns}) + "\n" for i, r in answers.items())
    )
    return path


def plus(conversation, i):
    """Answers "What is N?" with N, but every third wrong."""
    text = next(p["text"] for p in conversation[-1]["content"] if p["type"] == "text")
    number = int(text.split("What is ")[1].split("?")[0])
    return f"The answer is {number if number % 3 else number + 1}"


def judge(conversation, i):
    """Extracts what stands after "perhaps"; fails on "broken", and says nonsense on "nonsense"."""
    response = conversation[0]["content"][0]["text"].rpartition("Response: ")[2]
    if "broken" in response:
        return Completion("no server", finish="error")
    return " " if "nonsense" in response else response.partition("perhaps ")[2].split("\n")[0]


def wavering(conversation, i):
    """Names an option for even responses, and neither for odd ones: "Yep" is spelled as Yes, "none" as No."""
    number = conversation[0]["content"][0]["text"].rpartition("well ")[2][0]
    return {"0": "(A)", "1": "Yep", "2": "B", "3": "none"}[number]


def _problem(row: Row) -> Problem:
    return Problem(
        identity(row), need(row, "frage"), answer=need(row, "loesung"), meta={"art": row.get("art")}
    )


def _score(problem: Problem, extraction: str, rules: Rules) -> Score:
    right = extraction.strip() == problem.answer
    return Score(1.0, extraction, "exact") if right else Score(0.0, extraction, "wrong")


SMALL = replace(MATHVISION, sizes={"test": 6, "testmini": 304})
"""MATH-Vision of six problems, so that few rows are a whole split."""
OWN = Bench(
    name="own",
    title="A benchmark of one file",
    source="nowhere",
    sizes={"test": 2},
    files={"test": ("fragen.json",)},
    problem=_problem,
    given=given,
    score=_score,
    columns=lambda p: [p.meta["art"]],
    read=lambda problem, response, rules: response.split()[-1],
)
