"""Rewards put together: by weight, and by the names a recipe gives. One that fails stops the run, never scores 0."""

import math
from collections.abc import Callable

from visreason.errors import RunError, UsageError
from visreason.names import function, unknown
from visreason.prompt import Style
from visreason.record import Sample, Score
from visreason.reward.correct import correct
from visreason.reward.format import format_reward

Reward = Callable[[list[Sample]], list[Score]]
"""One score for every sample, in order. The samples' own scores are not filled in yet."""

REWARDS: dict[str, Callable[[Style], Reward]] = {
    "correct": lambda style: correct,
    "format": format_reward,
}
"""Rewards by the name a recipe gives; each is made for the style of the run."""


def from_names(weights: dict[str, float], style: Style) -> Reward:
    """The weighted sum of named rewards: a word of REWARDS, or `module:function` with a reward of one's own.

    >>> from visreason.prompt import style
    >>> from visreason.record import Completion, Problem
    >>> sample = Sample(Problem("p", "1+1?", answer="2"), Completion("2"), Score(0))
    >>> from_names({"correct": 0.7, "format": 0.3}, style("wethink"))([sample])
    [Score(value=0.7, answer='2', reason='exact', parts={'correct': 1.0, 'format': 0.0})]
    """
    if not weights:
        raise UsageError(f"expected at least one reward, found none; give some of {', '.join(REWARDS)}")
    return weighted({name: (weight, _named(name, style)) for name, weight in weights.items()})


def weighted(parts: dict[str, tuple[float, Reward]]) -> Reward:
    """The sum of weight times value; `parts` of a score hold each value without its weight.

    Answer and reason are those of the part named "correct", or of the first when none is. Completions that the engine
    could not make score 0 with reason errored and are shown to no reward. Raises RunError when a reward raises, gives
    a value that is not finite, or another number of scores than samples.
    """
    for name, (weight, _) in parts.items():
        if not math.isfinite(weight):
            raise UsageError(f"expected a finite weight for reward {name!r}, found {weight}; give a number")
    leading = "correct" if "correct" in parts else next(iter(parts))

    def total(samples: list[Sample]) -> list[Score]:
        made = [s for s in samples if s.completion.finish != "error"]
        columns = {name: _scores(name, reward, made) for name, (_, reward) in parts.items()} if made else {}
        scores = iter(
            _sum(dict(zip(columns, row, strict=True)), parts, leading)
            for row in zip(*columns.values(), strict=True)
        )
        none = Score(0.0, reason="errored", parts=dict.fromkeys(parts, 0.0))
        return [none if s.completion.finish == "error" else next(scores) for s in samples]

    return total


def _sum(row: dict[str, Score], parts: dict[str, tuple[float, Reward]], leading: str) -> Score:
    value = math.fsum(parts[name][0] * score.value for name, score in row.items())
    lead = row[leading]
    return Score(value, lead.answer, lead.reason, {name: score.value for name, score in row.items()})


def _scores(name: str, reward: Reward, samples: list[Sample]) -> list[Score]:
    """What a reward gives, if that can be trained on."""
    try:
        scores = list(reward(samples))
    except Exception as e:  # someone else's function: whatever it raises stops the run, with its name
        raise RunError(
            f"reward {name!r} raised {type(e).__name__} on problem {_culprit(reward, samples)}: {e}. Correct the "
            "reward, or that problem; a score of 0 in its place would be learned from"
        ) from e
    if len(scores) != len(samples):
        raise RunError(
            f"expected {len(samples)} scores of reward {name!r} (problems {_ids(samples)}), found {len(scores)}; "
            "return one for every sample, in order"
        )
    for sample, score in zip(samples, scores, strict=True):
        if not isinstance(score, Score) or not math.isfinite(score.value):
            raise RunError(
                f"expected a Score with a finite value of reward {name!r} on problem {sample.problem.id!r}, found "
                f"{score!r}; correct the reward, or that problem"
            )
    return scores


def _culprit(reward: Reward, samples: list[Sample]) -> str:
    """Id of the first problem that fails alone; the range of ids when none does."""
    for sample in samples:
        try:
            reward([sample])
        except Exception:  # looked for, and reported by the caller
            return repr(sample.problem.id)
    return _ids(samples)


def _ids(samples: list[Sample]) -> str:
    ids = list(dict.fromkeys(s.problem.id for s in samples))
    return ", ".join(map(repr, ids[:3])) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _named(name: str, style: Style) -> Reward:
    if name in REWARDS:
        return REWARDS[name](style)
    if ":" not in name:
        raise unknown("reward", name, [*REWARDS, "module:function"])
    return function("reward", name)
