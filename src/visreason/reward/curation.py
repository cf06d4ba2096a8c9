"""Stages that clean pairs: doubles, a judge, a surrogate reward model's thresholds, chosen sides written anew.

Each takes pairs and gives a verdict a pair: None to keep it as it is, a reason to drop it, or the pair to put in its
place (Skywork-VL Reward, arXiv 2505.07263, section 3.2, whose prompts and thresholds are not published).
"""

from collections.abc import Sequence
from dataclasses import replace

from visreason.data.near import near_duplicates
from visreason.engine import Engine, Sampling
from visreason.errors import DataError
from visreason.prompt import Style, messages
from visreason.prompt.layouts import control_token
from visreason.record import Completion, Pair, Problem, Sample, Score
from visreason.reward.correct import rules_verdict
from visreason.reward.judge import judge_pairs
from visreason.reward.learned import Learned

Outcome = Pair | str | None
UNREADABLE = "can't be read: "


def exact(pairs: Sequence[Pair]) -> list[Outcome]:
    """Drops a pair whose question, images, options and texts were there before, also with its sides the other way
    round: there the first stays, since nothing says which is right."""
    seen: set[tuple] = set()
    found: list[Outcome] = []
    for pair in pairs:
        sides = frozenset((pair.chosen.text.strip(), pair.rejected.text.strip()))
        key = (_shown(pair.problem), pair.problem.question.strip(), sides)
        found.append("the same pair stands earlier" if key in seen else None)
        seen.add(key)
    return found


def near(pairs: Sequence[Pair], threshold: float) -> list[Outcome]:
    """Drops a pair that is like an earlier one about the same images and options, in the words of question and both
    sides."""
    groups: dict[tuple, list[int]] = {}
    for i, pair in enumerate(pairs):
        groups.setdefault(_shown(pair.problem), []).append(i)
    found: list[Outcome] = [None] * len(pairs)
    for places in groups.values():
        texts = [
            " ".join((pairs[i].problem.question, pairs[i].chosen.text, pairs[i].rejected.text))
            for i in places
        ]
        for double, first in near_duplicates(texts, threshold).items():
            found[places[double]] = f"like the pair of {pairs[places[first]].problem.id!r}"
    return found


def judged(pairs: Sequence[Pair], engine: Engine) -> list[Outcome]:
    """Drops what a judge disagrees with, finds equal, or says nothing readable about, and what it can't be asked."""
    return [None if v == "agree" else f"the judge: {v}" for v in judge_pairs(engine, pairs)]


def weak(gaps: Sequence[Sequence[float] | str], weakest: float, narrowest: float) -> list[str | None]:
    """Of (chosen score, chosen less rejected) of every pair, why one is weak: its chosen side is among the `weakest`
    share of all, or its gap among the `narrowest`. A pair without scores is weak for the reason in their place."""
    known = [g for g in gaps if not isinstance(g, str)]
    if not known:
        return [str(g) for g in gaps]
    lowest, least = (_quantile([g[i] for g in known], q) for i, q in ((0, weakest), (1, narrowest)))

    def reason(gap: Sequence[float] | str) -> str | None:
        if isinstance(gap, str):
            return gap
        if gap[0] < lowest:
            return f"the chosen side's score {gap[0]:.3f} is under {lowest:.3f}"
        return f"the sides' scores differ by {gap[1]:.3f}, less than {least:.3f}" if gap[1] < least else None

    return [reason(gap) for gap in gaps]


def scored(pairs: Sequence[Pair], surrogate: Learned) -> list[tuple[float, float] | str]:
    """The surrogate's score of the chosen side, and how much higher it is than the other's; or why it has none."""
    groups = [(p.problem, (p.chosen.text, p.rejected.text)) for p in pairs]
    return [
        f"{UNREADABLE}{scores}" if isinstance(scores, DataError) else (scores[0], scores[0] - scores[1])
        for scores in surrogate.scores(groups)
    ]


def rewritten(
    pairs: Sequence[Pair], engine: Engine, style: Style, surrogate: Learned, sampling: Sampling
) -> list[Outcome]:
    """Pairs with the best of an engine's answers as their chosen side, where it is better than both old sides by the
    surrogate and, where rules can tell, right; the others are dropped."""
    answers = engine.generate([messages(p.problem, style) for p in pairs], sampling)
    found: list[Outcome] = []
    for pair, group in zip(pairs, answers, strict=True):
        texts = [
            c
            for c in group
            if c.finish == "stop"
            and c.text.strip()
            and not control_token(c.text)
            and _may_be_right(pair.problem, c.text)
        ]
        candidates = [pair.chosen, pair.rejected, *texts]
        (scores,) = surrogate.scores([(pair.problem, [c.text for c in candidates])])
        if isinstance(scores, DataError):
            found.append(f"{UNREADABLE}{scores}")
            continue
        best = scores.index(max(scores))
        failed = "".join(f"; the engine: {c.text}" for c in group[:1] if c.finish == "error")
        new = replace(candidates[best], logps=())
        found.append(replace(pair, chosen=new) if best > 1 else f"weak, and no new answer is better{failed}")
    return found


def _may_be_right(problem: Problem, text: str) -> bool:
    """Whether the rules say so, or can't tell."""
    if problem.answer is None or problem.check == "judge":
        return True
    verdict = rules_verdict(Sample(problem, Completion(text), Score(0.0)))
    return verdict.correct or verdict.reason == "errored"


def _quantile(values: Sequence[float], share: float) -> float:
    """The value under which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _shown(problem: Problem) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Images and options."""
    return tuple(i.sha256 or i.path for i in problem.images), problem.choices
