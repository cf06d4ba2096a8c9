"""Responses on file through a reward, block by block; over the cores where it is a rule of this package."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from rich.console import Console
from rich.progress import track

from visreason.answer import sandbox
from visreason.cores import over_cores
from visreason.prompt import style
from visreason.record import Sample
from visreason.reward.compose import REWARDS, from_names
from visreason.reward.correct import correct_or_extracted
from visreason.store import SAMPLES, Run

BLOCK, ALONE = 256, 1_000
"""Samples a process scores at a time, and how many are too few to start processes for."""


def score_on_file(
    record: Run, reward: str, layout: str, samples: Sequence[Sample], console: Console
) -> list[Sample]:
    """Scored samples in order; those on disk are not scored again."""
    scored = record.answered([s.problem.id for s in samples], BLOCK)
    blocks = [list(samples[i : i + BLOCK]) for i in range(len(scored), len(samples), BLOCK)]
    many = reward in REWARDS and sum(map(len, blocks)) > ALONE
    work = partial(score_block, reward, layout) if many else _scoring(reward, layout)
    done = over_cores(work, blocks, alone=not many, start=sandbox.start)
    before = len(scored) // BLOCK
    for block in track(done, "score", total=before + len(blocks), completed=before, console=console):
        record.append(SAMPLES, block)
        scored += block
    return scored


def score_block(reward: str, layout: str, samples: list[Sample]) -> list[Sample]:
    """Samples with their scores, for another process."""
    return _scoring(reward, layout)(samples)


def _scoring(reward: str, layout: str) -> Callable[[list[Sample]], list[Sample]]:
    """What scores samples; a judge or a model is loaded once."""
    judge = correct_or_extracted if reward == "correct" else from_names({reward: 1.0}, style(layout))
    return lambda samples: [replace(s, score=x) for s, x in zip(samples, judge(samples), strict=True)]
