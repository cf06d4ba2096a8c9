"""Pairs of the drawn problems for runs of training: a worked solution against a shorter wrong answer."""

import shutil
from dataclasses import replace

from tests.model.world import STYLE
from visreason.prompt import style
from visreason.record import Completion, Pair, Problem
from visreason.store import read_records, write_records


def drawn_pairs(world):
    """Two pairs of every training problem, every third problem without its picture."""
    layout = style(STYLE)
    problems = list(read_records(world / "train.jsonl", Problem))
    shown = [p if i % 3 else replace(p, id=f"{p.id}-text", images=()) for i, p in enumerate(problems)]
    return [
        Pair(p, Completion(layout.target(p.thought, p.answer)), Completion(layout.target(guess, "0")), 1.0)
        for p in shown
        for guess in ("I guess.", "It may be so, or not.")
    ]


def pairs_file(world):
    """The pairs beside the fixture's problems, written once."""
    path = world.parent / "world-pairs.jsonl"
    if not path.exists():
        scratch = path.with_suffix(".new")
        write_records(scratch, drawn_pairs(world))
        shutil.move(scratch, path)
    return path
