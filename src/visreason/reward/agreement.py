"""Agreement of scores with the verdicts that rows carry, in `expected` or `judged` of a problem's meta."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from visreason.record import Problem, Sample, Score
from visreason.stats import accuracies, wilson

COLUMNS = ("expected", "judged")
VERDICTS = {
    **dict.fromkeys(("true", "1", "1.0", "correct"), True),
    **dict.fromkeys(("false", "0", "0.0", "fail", "wrong"), False),
}
MAX_GROUPS = 200
"""More values than this divide no summary."""


def summarize(samples: list[Sample], by: Sequence[str]) -> dict[str, Any]:
    """The summary of scored samples: accuracies, also by fields of meta, why samples are errored, and `agreement` with
    the recorded verdicts where there are any.
    """
    both = accuracies(samples)
    summary: dict[str, Any] = {
        "accuracy": both["all"].as_dict(),
        "accuracy_of_completed": both["completed"].as_dict() if "completed" in both else None,
        "reward": sum(s.score.value for s in samples) / len(samples),
    }
    summary["by_extraction"] = sum("by_extraction" in s.score.parts for s in samples)
    found = {part: sum(part in s.score.parts for s in samples) for part in ("overrun", "fault")}
    summary |= {part: n for part, n in found.items() if n}
    for name in by:
        groups = grouped(samples, name)
        if 1 < len(groups) <= MAX_GROUPS:
            summary[f"by_{name}"] = {v: accuracies(g)["all"].as_dict() for v, g in groups.items()}
    if compared := judged(samples):
        summary["agreement"] = agreement(compared)
    if unread := sum(_is_unread(s.problem) for s in samples):
        summary["unread_verdicts"] = unread
    return summary


def judged(samples: Sequence[Sample]) -> list[Sample]:
    """Samples with a recorded verdict that holds for any convention and is not doubted by those who recorded it."""
    return [s for s in samples if verdict(s.problem) is not None and not set_aside(s.problem)]


def agreement(judged: list[Sample]) -> dict[str, Any]:
    """How often the scores are those recorded, and how they differ: of all, of each kind, and of responses alone."""
    alone = [s for s in judged if "by_extraction" not in s.score.parts]
    refused = [s for s in judged if "by_extraction" in s.score.parts]
    return {
        **_agreement(judged),
        "by_kind": {kind: _agreement(group) for kind, group in grouped(judged, "kind").items()},
        "responses_alone": _agreement(
            [*alone, *(replace(s, score=Score(0.0, reason="unparsed")) for s in refused)]
        ),
    }


def _agreement(judged: list[Sample]) -> dict[str, Any]:
    pairs = [(s.score.correct, verdict(s.problem)) for s in judged]
    interval = wilson(sum(ours == theirs for ours, theirs in pairs), len(pairs))
    return {
        **interval.as_dict(),
        "negatives": sum(not theirs for _, theirs in pairs),
        "wrong_accepts": sum(ours and not theirs for ours, theirs in pairs),
        "wrong_rejects": sum(bool(theirs) and not ours for ours, theirs in pairs),
    }


def verdict(problem: Problem) -> bool | None:
    """The verdict that a row carries in `expected` or `judged`: true, false, 1, 0, correct or wrong, as a text too.
    None where it has none, or something else.

    >>> [verdict(Problem("p", "?", meta={"expected": v})) for v in (True, 0, "False", "42", 42)]
    [True, False, False, None, None]
    """
    found = (VERDICTS.get(str(problem.meta.get(name)).lower()) for name in COLUMNS)
    return next((v for v in found if v is not None), None)


def _is_unread(problem: Problem) -> bool:
    stated = any(problem.meta.get(name) not in (None, "") for name in COLUMNS)
    return stated and verdict(problem) is None


def set_aside(problem: Problem) -> bool:
    """Whether a recorded verdict holds for one convention only, or is doubted by those who recorded it."""
    return bool(problem.meta.get("convention") or problem.meta.get("suspect"))


def grouped(samples: list[Sample], name: str) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if name in sample.problem.meta:
            groups.setdefault(str(sample.problem.meta[name]), []).append(sample)
    return dict(sorted(groups.items()))
