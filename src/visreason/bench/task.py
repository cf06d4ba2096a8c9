"""A benchmark as a task: problems to ask or outputs to score, read from files, and the scoring that a recipe names."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from visreason.answer import sandbox
from visreason.bench import bench as find_bench
from visreason.bench.columns import identity
from visreason.bench.files import rows
from visreason.bench.judging import Judge
from visreason.bench.kind import Bench, Rules
from visreason.bench.outputs import read_outputs
from visreason.bench.problems import Source, read_problems
from visreason.bench.scoring import by_judge, by_rule, by_stored
from visreason.cores import over_cores
from visreason.data import has_meta, part
from visreason.engine import connect
from visreason.errors import DataError
from visreason.names import OFFICIAL
from visreason.prompt import STYLES, Style, style
from visreason.record import Problem, Sample

BLOCK, ALONE = 256, 5_000
"""Samples a process scores at a time, and how many are too few to start processes for."""


@dataclass(frozen=True)
class Task:
    """What is asked or scored: problems for an engine, or samples of completions; where from; what is missing."""

    bench: Bench
    rules: Rules
    problems: list[Problem]
    given: list[Sample]
    source: Source | None
    missing: int
    inputs: tuple[Path, ...]
    rejected: list[dict[str, Any]]


def live(name: str, data: Path, split: str | None, rules: Rules, kept: Path) -> Task:
    """The problems of a benchmark whose pictures are there; what is short of the split is `missing`."""
    bench = find_bench(name)
    source = read_problems(bench, data, split, kept)
    whole = bench.sizes.get(source.split, 0)
    expand = bench.expand or (lambda problem, rules: [problem])
    asked = [t for p in source.problems for t in expand(p, rules)]
    missing = 0 if len(source.problems) in bench.sizes.values() else max(whole - len(source.problems), 0)
    return Task(bench, rules, asked, [], source, missing, source.files, source.rejected)


def released(
    name: str,
    data: Path | None,
    split: str | None,
    rules: Rules,
    completions: Path,
    samples: int,
    allow_partial: bool,
    kept: Path,
) -> Task:
    """Completions made elsewhere, with the problems of `data` or those they carry. Pictures need not be there."""
    bench = find_bench(name)
    source = read_problems(bench, data, split, kept, images=False) if data else None
    found = read_outputs(bench, completions, source, samples, allow_partial)
    problems = list({s.problem.id: s.problem for s in found.samples}.values())
    inputs = (*(source.files if source else ()), *found.files)
    rejected = [*(source.rejected if source else []), *found.rejected]
    return Task(bench, rules, problems, found.samples, source, len(found.missing), inputs, rejected)


def narrowed(task: Task, where: dict[str, str | int], limit: int | None, shard: str | None) -> Task:
    """Only the problems with these values in their meta, the first of those, one part of them; the rest is missing."""
    kept = part([p for p in task.problems if has_meta(p, where)][:limit], shard)
    if not kept:
        raise DataError(f"expected problems of {task.bench.title} with {where}, found none; change where")
    if len(kept) == len(task.problems):
        return task
    ids = {p.id for p in kept}
    missing = task.missing + len(task.problems) - len(kept)
    return replace(task, problems=kept, given=[s for s in task.given if s.problem.id in ids], missing=missing)


def with_rewards(task: Task, path: Path) -> Task:
    """The given samples with rewards from a file: samples that `score` wrote, or rows with a reward, in the same order
    for each problem. Raises DataError unless every sample has one."""
    found: dict[str, list[float]] = {}
    for row in rows(path):
        own = isinstance(row.value.get("problem"), dict)
        name = str(row.value["problem"]["id"]) if own else identity(row)
        value = row.value["score"]["value"] if own else row.get("reward", "pred_score", "score", "rewards")
        found.setdefault(name, []).extend(map(float, value) if isinstance(value, list) else [float(value)])
    given = []
    for sample in task.given:
        if not found.get(sample.problem.id):
            raise DataError(
                f"expected a reward for every sample in {path}, found too few of {sample.problem.id!r}"
            )
        meta = {**sample.problem.meta, "reward": found[sample.problem.id].pop(0)}
        given.append(replace(sample, problem=replace(sample.problem, meta=meta)))
    return replace(task, given=given)


def layout(bench: Bench, name: str, problem: Problem | None = None) -> Style:
    """The style of that name; the benchmark's own prompt for a problem where the name is `official`."""
    if name != OFFICIAL:
        return style(name)
    if bench.prompt is None:
        return STYLES["hint"]
    return bench.prompt(problem or Problem("", "{question}"))


def score(
    bench: Bench, kind: str, rules: Rules, read_as: Style | None, samples: list[Sample]
) -> list[Sample]:
    """Samples with their scores, by rule or by what is stored."""
    scoring = by_stored(bench, rules) if kind == "stored" else by_rule(bench, rules, read_as)
    return [replace(s, score=found) for s, found in zip(samples, scoring(samples), strict=True)]


def score_block(name: str, kind: str, rules: Rules, read_as: str, samples: list[Sample]) -> list[Sample]:
    """As `score`, with everything by name, for another process."""
    return score(find_bench(name), kind, rules, None if read_as == OFFICIAL else style(read_as), samples)


def scored_blocks(
    name: str, kind: str, rules: Rules, read_as: str, blocks: list[list[Sample]]
) -> Iterator[list[Sample]]:
    """Scored samples block by block, over the cores where there are many."""
    work = partial(score_block, name, kind, rules, read_as)
    yield from over_cores(work, blocks, alone=sum(map(len, blocks)) < ALONE, start=sandbox.start)


def judged_blocks(
    bench: Bench, rules: Rules, judge: str, cache: Path, read_as: Style | None, blocks: list[list[Sample]]
) -> Iterator[list[Sample]]:
    """Scored samples block by block, by a judge whose replies are cached."""
    scoring = by_judge(bench, rules, Judge(connect(judge), cache, rules.seed), read_as)
    for block in blocks:
        yield [replace(s, score=found) for s, found in zip(block, scoring(block), strict=True)]
