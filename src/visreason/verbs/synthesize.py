"""Make questions with answers and thoughts from pictures: describe, refine, ask, answer twice, adjudicate, rewrite.

Pictures are those of the problems in `data`, each once. Every intermediate is kept in made.jsonl; problems.jsonl holds
the questions, which `visreason convert to=wethink` writes with WeThink's seven fields.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from visreason.engine import Engine
from visreason.errors import DataError
from visreason.factory import synthesize as making
from visreason.factory.blocks import in_blocks
from visreason.factory.evidence import Roles
from visreason.factory.inputs import (
    Engines,
    Making,
    decontaminating,
    problems_of,
    sifted,
    sifting,
    sources,
)
from visreason.factory.pipeline import (
    MADE,
    PROBLEMS,
    Stage,
    Work,
    console,
    kept,
    lengths,
    read_made,
    share,
    write_dropped,
)
from visreason.record import Problem
from visreason.store import Run, write_records

WITHOUT = {
    "adjudicator": "disagreements are dropped", "judge": "open questions are dropped",
    "refiner": "thoughts stay as they were written, and those that show a description are dropped",
}  # fmt: skip
"""Roles that nobody need have, and what follows then."""


class Recipe(Making):
    """Which engine does what. Roles without an engine are named when the run starts."""

    ROLES = ("seer", "writer", "reader", *WITHOUT)

    seer: str = Field(description="Engine that sees the pictures.", examples=["http://127.0.0.1:8000/v1"])
    writer: str = Field(
        description="Engine that thinks about descriptions; it need not see.",
        examples=["http://127.0.0.1:8001/v1"],
    )
    reader: str | None = Field(
        None, description="Engine that answers from the description; the writer when not given."
    )
    adjudicator: str | None = Field(
        None, description="Engine that sees, and settles disagreements; null drops them."
    )
    judge: str | None = Field(
        None, description="Engine that compares open answers; null drops open questions."
    )
    refiner: str | None = Field(
        None, description="Engine that sees, and rewrites thoughts; null leaves them."
    )
    rounds: int = Field(2, ge=0, description="Rounds of questions for missing evidence.")
    questions: int = Field(3, ge=1, description="Most questions written about a picture.")


def run(recipe: Recipe, out: Path) -> None:
    """Synthesize, write problems.jsonl and dropped.jsonl, and seal with the funnel and the shares of agreement."""
    record = Run.open(out, "synthesize", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    for role, so in WITHOUT.items():
        if getattr(recipe, role) is None:
            console.print(f"no engine for the role {role}: {so}")
    found, stage = problems_of(recipe, record)
    held = decontaminating(recipe)
    pictures, drops = sifted(_distinct(found, stage), held, stage)
    console.print(f"{len(pictures)} pictures, at most {recipe.questions} questions each")
    in_blocks(record, recipe, pictures, stage, partial(_work, recipe, out))
    problems = [p for made in kept(out / MADE) for p in making.problems_of(made)]
    rows = list(_questions(out / MADE))
    questions = Stage("questions", len(rows))
    questions.drop(q["rule"] for q in rows)
    problems, doubles = sifted(problems, sifting(recipe, held), questions)
    write_records(out / PROBLEMS, problems)
    dropped = ({"id": q["id"], "rule": q["rule"], "why": q["why"]} for q in rows if q["rule"])
    write_dropped(record, drops, [*dropped, *doubles])
    summary = {
        **summarize(rows, problems),
        "funnel": [stage.row(), questions.row()],
        "troubles": record.troubles(),
    }
    record.seal(summary, sources(recipe, out), {"problems": len(problems)})
    console.print(f"{len(problems)} questions of {len(rows)} in {out / PROBLEMS}")


def _questions(path: Path) -> Iterator[dict[str, Any]]:
    """What is counted of every question that was written, without its thoughts."""
    for made in read_made(path):
        for q in made.steps.get("questions", []):
            yield {name: q.get(name) for name in ("id", "rule", "why", "agree", "verdict")}


def _work(recipe: Recipe, out: Path) -> Work:
    engines = Engines(recipe, out)
    specs = {role: getattr(recipe, role) for role in WITHOUT}
    found: dict[str, Engine | None] = {r: engines.get(r, spec) if spec else None for r, spec in specs.items()}
    writer = engines.get("writer", recipe.writer)
    reader = engines.get("reader", recipe.reader) if recipe.reader else writer
    roles = Roles(
        engines.get("seer", recipe.seer), writer, reader, **found, rounds=recipe.rounds,
        questions=recipe.questions, max_tokens=recipe.max_completion_tokens,
    )  # fmt: skip
    return engines.counting(lambda block, seed: making.synthesize(block, roles, seed))


def _distinct(problems: list[Problem], stage: Stage) -> list[Problem]:
    """One problem of each picture; those without one can't be asked about."""
    first: dict[tuple[str, ...], Problem] = {}
    for p in problems:
        if p.images:
            first.setdefault(tuple(i.sha256 or i.path for i in p.images), p)
    without = sum(not p.images for p in problems)
    if not first:
        raise DataError(f"expected problems with pictures, found none in {len(problems)} of them")
    stage.drop(["no picture"] * without + ["same picture"] * (len(problems) - without - len(first)))
    return list(first.values())


def summarize(rows: list[dict[str, Any]], problems: list[Problem]) -> dict[str, Any]:
    """Shares of agreement and adjudication, types and abilities of what is kept, and lengths."""
    compared = [q for q in rows if q["agree"] is not None]
    split = [q for q in compared if not q["agree"]]
    settled = [q for q in split if q["verdict"] is not None]
    by: dict[str, dict[str, int]] = {"types": {}, "abilities": {}}
    for p in problems:
        by["types"][p.meta["category"]] = by["types"].get(p.meta["category"], 0) + 1
        for ability in p.meta["abilities"]:
            by["abilities"][ability] = by["abilities"].get(ability, 0) + 1
    texts = {"questions": (p.question for p in problems), "thoughts": (p.thought or "" for p in problems)}
    return {
        "shares": {
            "answers that agree": share(len(compared) - len(split), len(compared)),
            "disagreements adjudicated": share(len(settled), len(split)),
            "adjudications kept": share(sum(q["rule"] is None for q in settled), len(settled)),
        },
        **by,
        "lengths": {name: lengths(found) for name, found in texts.items()},
    }  # fmt: skip
