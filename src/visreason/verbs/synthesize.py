"""Make questions with answers and thoughts from pictures: describe, refine, ask, answer twice, adjudicate, rewrite.

Pictures are those of the problems in `data`, each once. Every intermediate is kept in made.jsonl; problems.jsonl holds
the questions, which `visreason convert to=wethink` writes with WeThink's seven fields.
"""

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from visreason.data import sift
from visreason.engine import Engine
from visreason.errors import DataError
from visreason.factory import synthesize as making
from visreason.factory.blocks import in_blocks
from visreason.factory.inputs import Engines, Making, problems_of
from visreason.factory.pipeline import DROPPED, PROBLEMS, Stage, Work, console, lengths, share
from visreason.record import Problem
from visreason.store import Run, model_files, write_records

WITHOUT = {
    "adjudicator": "disagreements are dropped", "judge": "open questions are dropped",
    "refiner": "thoughts stay as they were written, and those that show a description are dropped",
}  # fmt: skip
"""Roles that nobody need have, and what follows then."""


class Recipe(Making):
    """Which engine does what. Roles without an engine are named when the run starts."""

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
    found, stage, drops = problems_of(recipe, record, sifted=False)
    pictures = _distinct(found, stage)
    console.print(f"{len(pictures)} pictures, at most {recipe.questions} questions each")
    made, troubles = in_blocks(record, recipe, pictures, stage, partial(_work, recipe, out))
    problems = [p for m in made for p in making.problems_of(m)]
    doubles = sift.duplicates(problems, recipe.near)
    kept = [p for i, p in enumerate(problems) if i not in doubles]
    write_records(out / PROBLEMS, kept)
    rows = [q for m in made for q in m.steps.get("questions", [])]
    record.rewind({DROPPED: 0})
    record.append(DROPPED, [
        *drops, *({"id": m.problem.id, "rule": m.rule, "why": m.why} for m in made if m.rule),
        *({"id": q["id"], "rule": q["rule"], "why": q["why"]} for q in rows if q["rule"]),
        *({"id": problems[i].id, "rule": rule, "why": why} for i, (rule, why) in sorted(doubles.items())),
    ])  # fmt: skip
    questions = Stage("questions", len(rows))
    questions.drop([*(q["rule"] for q in rows), *(rule for rule, _ in doubles.values())])
    specs = (recipe.seer, recipe.writer, recipe.reader, recipe.adjudicator, recipe.judge, recipe.refiner)
    files = [f for spec in specs if spec for f in model_files(spec)]
    summary = {**summarize(rows, kept), "funnel": [stage.row(), questions.row()], "troubles": troubles}
    record.seal(summary, [Path(recipe.data), *files], {"problems": len(kept)})
    console.print(f"{len(kept)} questions of {len(rows)} in {out / PROBLEMS}")


def _work(recipe: Recipe, out: Path) -> Work:
    engines = Engines(recipe, out)
    specs = {role: getattr(recipe, role) for role in WITHOUT}
    found: dict[str, Engine | None] = {r: engines.get(r, spec) if spec else None for r, spec in specs.items()}
    writer = engines.get("writer", recipe.writer)
    reader = engines.get("reader", recipe.reader) if recipe.reader else writer
    roles = making.Roles(
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


def summarize(rows: list[dict[str, Any]], kept: list[Problem]) -> dict[str, Any]:
    """Shares of agreement and adjudication, types and abilities of what is kept, and lengths."""
    compared = [q for q in rows if "agree" in q]
    split = [q for q in compared if not q["agree"]]
    by: dict[str, dict[str, int]] = {"types": {}, "abilities": {}}
    for p in kept:
        by["types"][p.meta["category"]] = by["types"].get(p.meta["category"], 0) + 1
        for ability in p.meta["abilities"]:
            by["abilities"][ability] = by["abilities"].get(ability, 0) + 1
    return {
        "shares": {
            "answers that agree": share(len(compared) - len(split), len(compared)),
            "disagreements adjudicated": share(sum("verdict" in q for q in split), len(split)),
            "adjudications kept": share(sum(q["rule"] is None for q in split), sum("verdict" in q for q in split)),
        },
        **by,
        "lengths": {"questions": lengths(p.question for p in kept), "thoughts": lengths(p.thought or "" for p in kept)},
    }  # fmt: skip
