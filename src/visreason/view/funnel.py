"""What the report shows of runs that make data: rows in, dropped by which rule, out; shares, lengths, things made."""

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visreason.errors import DataError
from visreason.prompt.chat import LETTERS
from visreason.record import Image, Problem, from_json
from visreason.store import read_rows
from visreason.view.gallery import data_uri
from visreason.view.runs import RunView

MADE = "made.jsonl"
MOST_TEXTS = 6


@dataclass(frozen=True)
class Piece:
    """A problem that was worked on: its picture, the rule that dropped it, and (what, text, rule) of what was made. One
    that can't be read has its id and its question alone, and the error for a rule."""

    problem: Problem
    image: str | None
    rule: str | None
    why: str
    texts: list[tuple[str, str, str | None]]


@dataclass(frozen=True)
class Funnel:
    """A run's stages, shares by name, and lengths by name as the manifest has them, and some of what it made."""

    label: str
    stages: list[dict[str, Any]]
    shares: dict[str, dict[str, Any]]
    lengths: dict[str, dict[str, Any]]
    pieces: list[Piece]


def makes_data(run: RunView) -> bool:
    """Whether a finished run has a funnel. Its samples were chosen for being right, so their accuracy says nothing."""
    return "funnel" in run.manifest.get("summary", {})


def funnels(runs: Sequence[RunView], limit: int) -> list[Funnel]:
    """The funnels of the runs that have one, each with up to `limit` problems, by a hash of their ids."""
    found = []
    for run in runs:
        if makes_data(run):
            summary = run.manifest["summary"]
            pieces = list(_pieces(run.folder / MADE, limit)) if run.folder else []
            lengths = {name: v for name, v in summary.get("lengths", {}).items() if v.get("n")}
            found.append(Funnel(run.label, summary["funnel"], summary.get("shares", {}), lengths, pieces))
    return found


def _pieces(path: Path, limit: int) -> Iterator[Piece]:
    if not path.exists():
        return
    rows = (row for _, row in read_rows(path, growing=True))
    for row in heapq.nsmallest(limit, rows, key=_order):
        images = [{**i, "path": str(path.parent / i["path"])} for i in row["problem"].get("images", [])]
        try:
            problem = from_json(Problem, {**row["problem"], "images": images})
        except DataError as e:
            bare = Problem(str(row["problem"]["id"]), str(row["problem"].get("question", "")))
            yield Piece(bare, None, "can't be read", str(e), [])
            continue
        image = data_uri(Image(problem.images[0].path)) if problem.images else None
        yield Piece(problem, image, row["rule"], row["why"], list(_texts(problem, row["steps"]))[:MOST_TEXTS])


def _order(row: dict[str, Any]) -> bytes:
    return hashlib.sha256(str(row["problem"]["id"]).encode("utf-8", "replace")).digest()


def _texts(problem: Problem, steps: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Completions, questions, or the description of what a pipeline made, with the rule that dropped each."""
    for one in steps.get("completions", []):
        yield "completion", one.get("text") or one["raw"]["text"], one["rule"]
    for one in steps.get("questions", []):
        options = "".join(f"\n({a}) {c}" for a, c in zip(LETTERS, one["choices"], strict=False))
        thought = f"\n\n{one['thought']}" if one.get("thought") else ""
        yield "question", f"{one['question']}{options}\nAnswer: {one['answer']}{thought}", one["rule"]
    if "kind" in steps and problem.description:
        yield steps["kind"], problem.description, None
