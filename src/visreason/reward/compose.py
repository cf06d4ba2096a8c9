"""Rewards put together: by weight, and by the names a recipe gives.

One that raises stops the run. An answer that takes too long to check, or breaks the checker, scores 0 as errored.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from visreason.engine import connect
from visreason.errors import RunError, UsageError
from visreason.names import function, unknown
from visreason.prompt import Style
from visreason.record import REASONS, Sample, Score
from visreason.reward.bounded import bounded
from visreason.reward.correct import correct, rules_verdict
from visreason.reward.format import format_reward
from visreason.reward.remote import Remote

Reward = Callable[[list[Sample]], list[Score]]
"""One score for every sample, in order. The samples' own scores are not filled in yet."""

REWARDS: dict[str, Callable[[Style], Reward]] = {
    "correct": lambda style: correct,
    "format": format_reward,
}
"""Rewards by the name a recipe gives; each is made for the style of the run."""
MODELS = ("learned", "judge")
"""Rewards that are models, named as `learned:PATH` and `judge:ENGINE`; their part is called by the first word."""


@dataclass(frozen=True)
class Models:
    """Where rewards that are models run, and how a raw learned score is bounded: to sigmoid((score - centre) / scale),
    to (score - centre) / scale cut at -1 and 1, or not at all."""

    device: str = "auto"
    dtype: str = "float32"
    max_pixels: int | None = None
    min_pixels: int | None = None
    max_prompt_tokens: int = 8192
    squash: Literal["sigmoid", "clip", "none"] = "sigmoid"
    centre: float = 0.0
    scale: float = 1.0

    def bounded(self, score: float) -> float:
        """A raw score as it is learned from.

        >>> [round(Models(squash=s, centre=1, scale=2).bounded(2), 3) for s in ("sigmoid", "clip", "none")]
        [0.622, 0.5, 2]
        """
        if self.squash == "none":
            return score
        x = (score - self.centre) / self.scale
        if self.squash == "clip":
            return max(-1.0, min(1.0, x))
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def from_names(
    weights: dict[str, float], style: Style, models: Models = Models(), timeout_s: float | None = None
) -> Reward:
    """The weighted sum of named rewards: a word of REWARDS, learned:PATH of a reward model, judge:ENGINE (rules, or the
    engine where a problem's check is "judge"), or `module:function` with a reward of one's own, which may take
    `timeout_s` seconds at a call.

    >>> from visreason.prompt import style
    >>> from visreason.record import Completion, Problem
    >>> sample = Sample(Problem("p", "1+1?", answer="2"), Completion("2"), Score(0))
    >>> from_names({"correct": 0.7, "format": 0.3}, style("wethink"))([sample])
    [Score(value=0.7, answer='2', reason='exact', parts={'correct': 1.0, 'format': 0.0})]
    """
    if not weights:
        raise UsageError(f"expected at least one reward, found none; give some of {', '.join(REWARDS)}")
    parts: dict[str, tuple[float, Reward]] = {}
    for name, weight in weights.items():
        part = label(name)
        if part in parts:
            raise UsageError(f"expected one reward of each kind, found two of {part!r}; leave one out")
        parts[part] = (weight, _named(name, style, models, timeout_s))
    return weighted(parts)


def label(name: str) -> str:
    """What the part of a named reward is called.

    >>> label("learned:runs/rm"), label("mymodule:myreward")
    ('learned', 'mymodule:myreward')
    """
    kind = name.partition(":")[0]
    return kind if kind in MODELS else name


def weighted(parts: dict[str, tuple[float, Reward]]) -> Reward:
    """The sum of weight times value; `parts` of a score hold each value without its weight, and the parts' own parts.

    Answer and reason are those of the part named "correct" or "judge", or else of the first that is one's own; rules
    say them where that names none (`Score(value)`), or where only a reward model and the format score. Completions that
    the engine could not make score 0 with reason errored and are shown to no reward. Raises RunError when a reward
    raises, gives a value that is not finite or a reason that is none, or another number of scores than samples.
    """
    for name, (weight, _) in parts.items():
        if not math.isfinite(weight):
            raise UsageError(f"expected a finite weight for reward {name!r}, found {weight}; give a number")
    own = [name for name in parts if name not in ("learned", "format")]
    leading = next((name for name in ("correct", "judge", *own) if name in parts), None)

    def total(samples: list[Sample]) -> list[Score]:
        made = [s for s in samples if s.completion.finish != "error"]
        columns = {name: _scores(name, reward, made) for name, (_, reward) in parts.items()} if made else {}
        leads = columns[leading] if leading and made else [Score(0.0)] * len(made)
        if leading not in ("correct", "judge"):
            leads = [
                rules_verdict(s) if lead == Score(lead.value) else lead
                for s, lead in zip(made, leads, strict=True)
            ]
        scores = (
            _sum(dict(zip(columns, row, strict=True)), parts, lead)
            for lead, *row in zip(leads, *columns.values(), strict=True)
        )
        none = Score(0.0, reason="errored", parts=dict.fromkeys(parts, 0.0))
        return [none if s.completion.finish == "error" else next(scores) for s in samples]

    return total


def _sum(row: dict[str, Score], parts: dict[str, tuple[float, Reward]], lead: Score) -> Score:
    value = math.fsum(parts[name][0] * score.value for name, score in row.items())
    inner = {name: value for score in row.values() for name, value in score.parts.items()}
    return Score(value, lead.answer, lead.reason, inner | {name: score.value for name, score in row.items()})


def _scores(name: str, reward: Reward, samples: list[Sample]) -> list[Score]:
    """What a reward gives, if that can be trained on."""
    try:
        scores = list(reward(samples))
    except RunError:  # ours, and says what to do
        raise
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
                f"{score!r}; return visreason.record.Score(value), and correct the reward or that problem"
            )
        if score.reason not in REASONS:
            raise RunError(
                f"expected a reason of reward {name!r} among {', '.join(REASONS)}, found {score.reason!r}; the first "
                "seven say that an answer is right"
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


def _named(name: str, style: Style, models: Models, timeout_s: float | None) -> Reward:
    if name in REWARDS:
        return REWARDS[name](style)
    kind, _, spec = name.partition(":")
    if kind == "learned" and spec:
        return _learned(spec, models)
    if kind == "judge" and spec:
        from visreason.reward.judge import Judge

        sizes = {n: getattr(models, n) for n in ("max_pixels", "min_pixels", "max_prompt_tokens")}
        return Judge(connect(spec, dtype=models.dtype, device=models.device, **sizes), style)
    if ":" not in name or kind in MODELS:
        raise unknown("reward", name, [*REWARDS, "learned:PATH", "judge:ENGINE", "module:function"])
    own = function("reward", name)
    return own if timeout_s is None else bounded(name, own, timeout_s)


def _learned(path: str, models: Models) -> Reward:
    """A reward model's bounded scores, each with the raw one as its part `learned_raw`."""
    raw: Reward
    if path.startswith(("http://", "https://")):
        raw = Remote(path)
    else:
        from visreason.reward.learned import Learned

        raw = Learned(
            path, models.dtype, models.device, models.max_pixels, models.min_pixels, models.max_prompt_tokens
        )

    def bounded(samples: list[Sample]) -> list[Score]:
        return [
            replace(s, value=models.bounded(s.value), parts={"learned_raw": s.value}) for s in raw(samples)
        ]

    return bounded
