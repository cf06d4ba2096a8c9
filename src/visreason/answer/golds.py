"""Whether gold answers can be checked at all, and are right by their own check."""

from collections.abc import Iterable
from typing import Any

from visreason.answer.check import check
from visreason.errors import DataError
from visreason.record import Problem


def failures(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Gold answers that can't be read or checked, or are wrong by their own check: {"id", "answer", "reason"}.

    >>> failures([Problem("a", "1+1?", answer="2"), Problem("b", "1+2?")])[0]["id"]
    'b'
    """
    found = ((p, _failure(p)) for p in problems)
    return [{"id": p.id, "answer": p.answer, "reason": reason} for p, reason in found if reason is not None]


def _failure(problem: Problem) -> str | None:
    if (answer := problem.answer or "").count("{") != answer.count("}"):
        return f"expected as many closing braces as opening ones, found {answer!r:.80}"
    try:
        score = check(problem, problem.answer or "")
    except DataError as e:
        return str(e)
    return None if score.correct else f"expected to be right by its own check, found {score.reason}"
