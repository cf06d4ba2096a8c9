"""Answers worked out a second time: a family's test says, for each wording of a question, how."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from visreason.record import Problem


def said(problem: Problem) -> str:
    """The answer in words: of a choice, the text of the option that the letter names."""
    assert problem.answer is not None
    return problem.choices["ABCD".index(problem.answer)] if problem.choices else problem.answer


def answer(question: str, facts: Any, rules: Mapping[str, Callable[..., object]]) -> str:
    """What the one rule whose pattern fits the question makes of the facts and the words it caught."""
    fits = [(rule, found) for pattern, rule in rules.items() if (found := re.fullmatch(pattern, question))]
    assert len(fits) == 1, f"{len(fits)} rules fit {question!r}"
    rule, found = fits[0]
    return str(rule(facts, *found.groups()))
