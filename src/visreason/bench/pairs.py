"""Benchmarks of pairs: which of two answers is better, told by scores of a reward model or by a judge in trials."""

import hashlib
import re
from dataclasses import replace
from typing import Any

from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import number
from visreason.bench.kind import Given, Row, Rules
from visreason.prompt.layouts import disarmed
from visreason.record import Problem
from visreason.stats import TRIAL_OF

BETTER = (
    ("chosen_score", "rejected_score"),
    ("score_chosen", "score_rejected"),
    ("scores_chosen", "scores_rejected"),
)
TIE = "tie"


def swapped(name: str, trial: int, seed: int) -> bool:
    """Whether the two answers change places in a trial: drawn for this pair and trial alone."""
    return hashlib.sha256(f"{seed}:{name}:{trial}".encode()).digest()[0] % 2 == 1


def trials(problem: Problem, template: str, rules: Rules) -> list[Problem]:
    """The pair as `rules.trials` questions to a judge, each in an order of its own, kept in `meta.swapped`."""
    meta = {k: v for k, v in problem.meta.items() if k != "responses"} | {TRIAL_OF: problem.id}
    asked = []
    for k in range(rules.trials):
        turn = swapped(problem.id, k, rules.seed)
        first, second = map(disarmed, problem.meta["responses"][::-1] if turn else problem.meta["responses"])
        values = {"{question}": problem.question, "{first}": first, "{second}": second}
        question = re.sub(r"\{(?:question|first|second)\}", lambda m, v=values: v[m.group()], template)
        name, turned = f"{problem.id}#{k + 1}", {**meta, "swapped": turn}
        asked.append(replace(problem, id=name, question=question, meta=turned))
    return asked


def given(row: Row, name: str) -> Given | None:
    """Scores of both answers (a tie is no win), or what a judge said."""
    for chosen, rejected in BETTER:
        if row.get(chosen, rejected) is not None:
            return Given(name, correct=_first(row, row.get(chosen)) > _first(row, row.get(rejected)))
    scores = row.get("scores")
    if isinstance(scores, list) and len(scores) == 2:
        first, second = (_first(row, s) for s in scores)
        return Given(name, extraction="1" if first > second else "2" if second > first else TIE)
    found = given_by_columns(row)
    return replace(found, id=name) if found else None


def _first(row: Row, score: Any) -> float:
    return number(row, score[0] if isinstance(score, list) and score else score, "a score of both answers")
