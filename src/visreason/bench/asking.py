"""Samples of a run, block by block, each on disk before the next; a killed run goes on after the last.

Either an engine answers problems, or completions made elsewhere are scored.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import track

from visreason.bench.task import BLOCK, Reading, Task, scored_blocks
from visreason.engine import Engine, Sampling
from visreason.prompt import Style, messages
from visreason.record import Problem, Sample, Score
from visreason.store import SAMPLES, Run

DEVICES = "devices.jsonl"
"""Where the engines were that answered, a row for each device."""
Scored = Callable[[list[Sample]], list[Sample]]
"""Fills in the scores of fresh samples."""


@dataclass(frozen=True)
class Asked:
    """What an engine is asked: problems, how each is put, how its answers are drawn and scored, and how many problems
    at a time."""

    problems: list[Problem]
    lay: Callable[[Problem], Style]
    scored: Scored
    sampling: Sampling
    block: int


def answers(record: Run, asked: Asked, connect: Callable[[], Engine], console: Console) -> list[Sample]:
    """Samples of every problem, in order; samples on disk are not asked again."""
    n, size = asked.sampling.n, asked.block
    samples = record.answered([p.id for p in asked.problems for _ in range(n)], n * size)
    if len(samples) == n * len(asked.problems):
        return samples
    engine, known = connect(), Counter[str]()
    here = {"device": engine.device}
    noted = here in record.rows(DEVICES)
    console.print(
        f"{len(asked.problems)} problems, {n} answers each at temperature {asked.sampling.temperature:g} from "
        f"{engine.name}"
    )
    blocks = [asked.problems[i : i + size] for i in range(0, len(asked.problems), size)]
    done = len(samples) // (n * size)
    for i in track(range(done, len(blocks)), "evaluate", total=len(blocks), completed=done, console=console):
        sampling = replace(asked.sampling, seed=asked.sampling.seed * 100_003 + i)
        groups = engine.generate([messages(p, asked.lay(p)) for p in blocks[i]], sampling)
        fresh = [Sample(p, c, Score(0.0)) for p, group in zip(blocks[i], groups, strict=True) for c in group]
        fresh = asked.scored(fresh)
        record.append(DEVICES, [] if noted else [here])
        record.append(SAMPLES, fresh)
        noted = True
        troubles = Counter(getattr(engine, "troubles", {}))
        record.troubled(troubles - known)
        known = troubles
        samples += fresh
    return samples


def devices(found: Iterable[str]) -> str:
    """Where answers were made, for a manifest."""
    return ", ".join(dict.fromkeys(found)) or "none"


def scored_given(record: Run, task: Task, reading: Reading, console: Console) -> list[Sample]:
    """Scored samples of completions made elsewhere, in order; those on disk are not scored again."""
    scored = record.answered([s.problem.id for s in task.given], BLOCK)
    done = len(scored) // BLOCK
    blocks = [task.given[i : i + BLOCK] for i in range(len(scored), len(task.given), BLOCK)]
    console.print(f"{len(task.given)} completions of {len(task.problems)} problems of {task.bench.title}")
    fresh = scored_blocks(task, reading, blocks)
    for block in track(fresh, "score", total=done + len(blocks), completed=done, console=console):
        record.append(SAMPLES, block)
        scored += block
    return scored
