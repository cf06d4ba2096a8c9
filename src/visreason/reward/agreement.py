"""Agreement of scores with the verdicts that rows carry, in `expected` or `judged` of a problem's meta."""

from dataclasses import replace
from typing import Any

from visreason.record import Problem, Sample, Score
from visreason.stats import wilson


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
    """The verdict that a row carries in `expected` or `judged`, None where it has none."""
    for name in ("expected", "judged"):
        found = problem.meta.get(name)
        if isinstance(found, (bool, int, float)):
            return bool(found)
        if isinstance(found, str) and found.lower() in ("true", "false"):
            return found.lower() == "true"
    return None


def set_aside(problem: Problem) -> bool:
    """Whether a recorded verdict holds for one convention only, or is doubted by those who recorded it."""
    return bool(problem.meta.get("convention") or problem.meta.get("suspect"))


def grouped(samples: list[Sample], name: str) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if name in sample.problem.meta:
            groups.setdefault(str(sample.problem.meta[name]), []).append(sample)
    return dict(sorted(groups.items()))
