"""Samples and pairs on file through a reward model, each problem's completions in one tree; those scored before a kill
are not scored again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from rich.console import Console
from rich.progress import Progress, track

from visreason.errors import DataError, RunError
from visreason.model.policy import Policy
from visreason.prompt import Style
from visreason.record import Pair, Sample, Score
from visreason.reward.correct import rules_verdict
from visreason.reward.learned import BLOCK, Learned, group_scores
from visreason.reward.ranking import Ranked, correlation
from visreason.stats import by_problem
from visreason.store import SAMPLES, Run

PAIR_SCORES = "scores.jsonl"


def score_groups(record: Run, reward: Learned, samples: Sequence[Sample], console: Console) -> list[Sample]:
    """Samples with their learned scores, problem by problem in the order these came, each block on disk before the
    next."""
    samples = [s for group in by_problem(samples).values() for s in group]
    scored = record.answered([s.problem.id for s in samples])
    scored = scored[: whole_blocks(samples, len(scored))]
    record.keep(SAMPLES, len(scored))
    with Progress(console=console) as progress:
        task = progress.add_task("score", total=len(samples), completed=len(scored))
        for block in score_samples(reward, samples, len(scored)):
            record.append(SAMPLES, block)
            scored += block
            progress.advance(task, len(block))
    return scored


def rank_on_file(
    record: Run, reward: Learned, pairs: Sequence[Pair], rejected: list[dict[str, Any]], console: Console
) -> list[Ranked]:
    """Pairs with their scores, block by block; those that can't be read are rejected. Raises RunError where the scores
    on disk are of other pairs."""
    done: dict[int, Ranked] = {}
    for row in record.rows(PAIR_SCORES):
        place = row["place"]
        if place >= len(pairs) or pairs[place].problem.id != row["id"]:
            raise RunError(
                f"expected the score of pair {place + 1} of the data in {record.path / PAIR_SCORES}, found one of "
                f"{row['id']!r}: the data changed since the run began; start again in another directory (out=...)"
            )
        done[place] = Ranked.of_row(pairs[place], row)
    left = [i for i in range(len(pairs)) if i not in done]
    blocks = [left[i : i + BLOCK] for i in range(0, len(left), BLOCK)]
    before = len(done) // BLOCK
    for block in track(blocks, "score", total=before + len(blocks), completed=before, console=console):
        found = list(rank(reward.policy, [pairs[i] for i in block], reward.style, reward.budget))
        fresh = {i: r for i, r in zip(block, found, strict=True) if isinstance(r, Ranked)}
        record.append(PAIR_SCORES, ({"place": i, **r.row()} for i, r in fresh.items()))
        done |= fresh
        rejected += [
            {"line": None, "reason": str(e), "row": {"id": pairs[i].problem.id}}
            for i, e in zip(block, found, strict=True)
            if isinstance(e, DataError)
        ]
    return [done[i] for i in sorted(done)]


def score_samples(reward: Learned, samples: Sequence[Sample], done: int) -> Iterator[list[Sample]]:
    """Blocks of scored samples, problem by problem, after the first `done` samples in that order.

    The value is the learned score, which `parts` holds as well; answer and reason are those that the sample has, or
    those of the problem's own check. Completions of a problem that can't be read are errored.
    """
    groups = list(by_problem(samples).values())
    ends = accumulate(map(len, groups))
    groups = groups[sum(1 for end in ends if end <= done) :]
    for start in range(0, len(groups), BLOCK):
        block = groups[start : start + BLOCK]
        asked = [(g[0].problem, [s.completion.text for s in g]) for g in block]
        yield [
            replace(sample, score=_score(sample, None if isinstance(scores, DataError) else scores[i]))
            for group, scores in zip(block, reward.scores(asked), strict=True)
            for i, sample in enumerate(group)
        ]


def whole_blocks(samples: Sequence[Sample], done: int) -> int:
    """How many of `done` scored samples belong to whole blocks."""
    whole = kept = 0
    for i, group in enumerate(by_problem(samples).values(), 1):
        whole += len(group)
        if whole > done:
            break
        if i % BLOCK == 0:
            kept = whole
    return kept


def _score(sample: Sample, learned: float | None) -> Score:
    if learned is None or sample.completion.finish == "error":
        return Score(0.0, reason="errored")
    verdict = sample.score if sample.score.parts else rules_verdict(sample)
    return Score(learned, verdict.answer, verdict.reason, {**verdict.parts, "learned": learned})


def rank(policy: Policy, pairs: Sequence[Pair], layout: Style, budget: int) -> Iterator[Ranked | DataError]:
    """Every pair with its scores and lengths, in order; the error of a problem that can't be read."""
    sides = [(pair.chosen.text, pair.rejected.text) for pair in pairs]
    groups = [(pair.problem, texts) for pair, texts in zip(pairs, sides, strict=True)]
    for pair, texts, scores in zip(pairs, sides, group_scores(policy, groups, layout, budget), strict=True):
        if isinstance(scores, DataError):
            yield scores
            continue
        tokens = [len(policy.encoder.completion(text)) for text in texts]
        yield Ranked(pair, scores[0], scores[1], tokens[0], tokens[1])


def length_bias(samples: Sequence[Sample]) -> dict[str, float | None]:
    """Correlation of score and length among right and among wrong completions."""
    return {name: correlation(points) for name, points in length_points(samples).items()}


def length_points(samples: Sequence[Sample]) -> dict[str, list[tuple[float, float]]]:
    """(score, length) of right and of wrong completions; length in sampled tokens, or words where there are none."""
    points: dict[str, list[tuple[float, float]]] = {"right": [], "wrong": []}
    for s in samples:
        if "learned" in s.score.parts:
            length = len(s.completion.token_ids) or len(s.completion.text.split())
            points["right" if s.score.correct else "wrong"].append((s.score.parts["learned"], length))
    return points
