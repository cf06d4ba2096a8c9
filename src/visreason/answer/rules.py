"""Conventions that graders differ in, and what a problem's meta says of them."""

import math
from dataclasses import dataclass, fields
from typing import Any

from visreason.answer.quantity import unit_word
from visreason.errors import DataError
from visreason.record import Problem


@dataclass(frozen=True)
class Rules:
    """The defaults hold unless a problem's meta says otherwise.

    `precision` is an absolute error that the problem allows, `unit` what a gold answer without one is measured in.
    `times_100` lets x and 100 x be the same without a percent sign (OlympiadBench, ToRA). `reduced` wants fractions in
    lowest terms (PRM800K). `python` reads the gold answer as the output of a program (sympy's). `relations` lets a
    chain of inequalities stand for the set of its solutions (Math-Verify's allow_set_relation_comp).
    """

    precision: float | None = None
    unit: str = ""
    times_100: bool = False
    reduced: bool = False
    python: bool = False
    relations: bool = True


DEFAULT = Rules()
NAMES = tuple(f.name for f in fields(Rules))


def rules_of(problem: Problem) -> Rules:
    """The conventions that a problem's meta states: `rules`, `precision` (0 to 20 decimals, or an absolute error where
    it lies between 0 and 1 or above 20), `error`, `unit`, `gold_syntax` "sympy", and Math-Verify's
    `allow_set_relation_comp`. Raises DataError for what can't be read.
    """
    meta = problem.meta
    stated = meta.get("rules") or {}
    if not isinstance(stated, dict):
        raise _wrong(problem, "an object for meta.rules, as {times_100: true}", stated)
    for name, value in stated.items():
        _validate(problem, name, value)
    told = {
        "precision": _precision(problem),
        "unit": unit_word(str(meta.get("unit") or "")),
        "python": meta.get("gold_syntax") == "sympy",
        "relations": meta.get("allow_set_relation_comp") is not False,
    }
    return Rules(**{**told, **stated})


def _validate(problem: Problem, name: str, value: Any) -> None:
    if name not in NAMES:
        raise _wrong(problem, f"rules among {', '.join(NAMES)}", name)
    if name == "precision":
        if value is not None and (isinstance(value, str) or _error(value) is None):
            raise _wrong(problem, "an absolute error of 0 or more for rule precision", value)
    elif not isinstance(value, str if name == "unit" else bool):
        raise _wrong(problem, f"{'text' if name == 'unit' else 'true or false'} for rule {name}", value)


def _precision(problem: Problem) -> float | None:
    """The absolute error in `error` or `precision`, the first of several."""
    for name in ("error", "precision"):
        stated = problem.meta.get(name)
        if stated in (None, ""):
            continue
        found = _error(str(stated).strip("[]").split(",")[0])
        if found is None:
            raise _wrong(problem, f"a number of 0 or more in meta.{name}", stated)
        decimals = name == "precision" and (found == 0 or 1 <= found <= 20)
        return 0.5 * 10.0**-found if decimals else found
    return None


def _error(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _wrong(problem: Problem, expected: str, found: Any) -> DataError:
    return DataError(
        f"problem {problem.id!r}: expected {expected}, found {str(found)[:80]!r}; correct the problem's meta"
    )
