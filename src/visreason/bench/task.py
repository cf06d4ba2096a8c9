"""A benchmark as a task: problems to ask or outputs to score, read from files, and the scoring that a recipe names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from visreason.answer import sandbox
from visreason.bench import bench as find_bench
from visreason.bench import pairs
from visreason.bench.columns import identity, number
from visreason.bench.files import rows
from visreason.bench.judging import Judge
from visreason.bench.kind import Bench, Row, Rules, taken
from visreason.bench.outputs import read_outputs, some
from visreason.bench.problems import Source, read_problems
from visreason.bench.scoring import by_judge, by_rule, by_stored
from visreason.cores import over_cores
from visreason.data import has_meta, part
from visreason.engine import connect
from visreason.errors import DataError, UsageError
from visreason.names import OFFICIAL
from visreason.prompt import STYLES, Style, style
from visreason.record import Problem, Sample, Score, from_json

BLOCK, ALONE = 256, 5_000
"""Samples a process scores at a time, and how many are too few to start processes for."""


@dataclass(frozen=True)
class Reading:
    """How answers are read: by rule, as stored or by a judge; a response laid out in the style, in its answer.
    `options` are those of the judge's engine."""

    kind: Literal["rule", "stored", "judge"]
    style: str
    judge: str | None
    cache: Path
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def layout(self) -> Style | None:
        return None if self.style == OFFICIAL else style(self.style)


@dataclass(frozen=True)
class Task:
    """What is asked or scored: problems for an engine, or samples of completions, and where from; what is missing.

    `short` problems of the split are not in the data or can't be asked, those of `unanswered` have no output.
    """

    name: str
    bench: Bench
    rules: Rules
    problems: list[Problem]
    given: list[Sample]
    source: Source | None
    short: int
    unanswered: tuple[str, ...]
    inputs: tuple[Path, ...]
    rejected: list[dict[str, Any]]

    @property
    def missing(self) -> int:
        return self.short + len(self.unanswered)


def live(name: str, data: Path, split: str | None, rules: Rules, kept: Path) -> Task:
    """The problems of a benchmark whose pictures are there."""
    bench = _heeding(name, rules)
    source = read_problems(bench, data, split, kept)
    return Task(
        name,
        bench,
        rules,
        source.problems,
        [],
        source,
        source.short_of(bench),
        (),
        source.files,
        source.rejected,
    )


def released(
    name: str,
    data: Path | None,
    split: str | None,
    rules: Rules,
    completions: Path,
    samples: int,
    partial: bool,
    kept: Path,
) -> Task:
    """Completions made elsewhere, with the problems of `data` or those they carry. Pictures need not be there."""
    bench = _heeding(name, rules)
    source = read_problems(bench, data, split, kept, images=False) if data else None
    found = read_outputs(bench, completions, source, samples, partial)
    problems = list({s.problem.id: s.problem for s in found.samples}.values())
    whole = [size for size in bench.sizes.values() if size >= len(problems)]
    short = source.short_of(bench) if source else min(whole, default=len(problems)) - len(problems)
    inputs = (*(source.files if source else ()), *found.files)
    rejected = [*(source.rejected if source else []), *found.rejected]
    return Task(name, bench, rules, problems, found.samples, source, short, found.missing, inputs, rejected)


def _heeding(name: str, rules: Rules) -> Bench:
    """The benchmark of that name. Raises UsageError for a rule that makes no difference to it."""
    bench = find_bench(name)
    for rule, default in unheeded(name).items():
        if getattr(rules, rule) != default:
            raise UsageError(f"{rule} makes no difference to {bench.title}; leave it out")
    return bench


def unheeded(name: str) -> dict[str, Any]:
    """The rules that make no difference to a benchmark, with their defaults."""
    return {f.name: f.default for f in fields(Rules) if f.name not in ("seed", *find_bench(name).heeds)}


def refuse_part(task: Task) -> None:
    """Raise DataError where problems have no output. Data with fewer problems than the split are labelled partial."""
    if task.unanswered:
        n = len(task.unanswered)
        raise DataError(
            f"expected an output for every problem, found {n} without one ({some(task.unanswered)}). A figure of "
            "fewer problems is not the benchmark's: partial=true makes one that is labelled so, as limit=N does"
        )


def narrowed(task: Task, where: dict[str, str | int], limit: int | None, shard: str | None) -> Task:
    """Only the problems with these values in their meta, the first of those, one part of them; the rest is missing."""
    kept = part([p for p in task.problems if has_meta(p, where)][:limit], shard)
    if not kept:
        raise DataError(f"expected problems of {task.bench.title} with {where}, found none; change where")
    ids = {p.id for p in kept}
    short = task.short + len(task.problems) - len(kept)
    return replace(task, problems=kept, given=[s for s in task.given if s.problem.id in ids], short=short)


def questions(task: Task) -> list[Problem]:
    """What an engine is asked: the problems, or every pair of answers in as many orders as there are trials."""
    if (template := task.bench.trial) is None:
        return task.problems
    return [t for p in task.problems for t in pairs.trials(p, template, task.rules)]


def with_rewards(task: Task, path: Path) -> Task:
    """The given samples with rewards from a file: samples that `score` wrote, or rows with a reward, in the same order
    for each problem. An errored sample has the reward None. Raises DataError unless there is one for every sample."""
    found: dict[str, list[float | None]] = {}
    for row in rows(path):
        name, rewards = taken(_rewards, row)
        found.setdefault(name, []).extend(rewards)
    given = []
    for sample in task.given:
        if not found.get(sample.problem.id):
            raise DataError(
                f"expected a reward for every sample in {path}, found too few of {sample.problem.id!r}"
            )
        meta = {**sample.problem.meta, "reward": found[sample.problem.id].pop(0)}
        given.append(replace(sample, problem=replace(sample.problem, meta=meta)))
    if more := [s.problem.id for s in given if found[s.problem.id]]:
        raise DataError(f"expected one reward a sample in {path}, found more of {more[0]!r}")
    return replace(task, given=given)


def _rewards(row: Row) -> tuple[str, list[float | None]]:
    """A problem's id and the rewards of one or more of its samples."""
    if isinstance(row.value.get("problem"), dict):
        score = from_json(Score, row.value["score"])
        return str(row.value["problem"]["id"]), [None if score.reason == "errored" else score.value]
    value = row.get("reward", "pred_score", "score", "rewards")
    return identity(row), [
        number(row, v, "a reward") for v in (value if isinstance(value, list) else [value])
    ]


def layout(bench: Bench, name: str, problem: Problem | None = None) -> Style:
    """The style of that name; the benchmark's own prompt for a problem where the name is `official`."""
    if name != OFFICIAL:
        return style(name)
    if bench.prompt is None:
        return STYLES["hint"]
    return bench.prompt(problem or Problem("", "{question}"))


def scorer(bench: Bench, rules: Rules, reading: Reading) -> Callable[[list[Sample]], list[Sample]]:
    """What fills in the scores of samples."""
    if reading.kind == "stored":
        scoring = by_stored(bench, rules)
    elif reading.kind == "rule":
        scoring = by_rule(bench, rules, reading.layout)
    else:
        judge = Judge(connect(reading.judge or "", **reading.options), reading.cache, rules.seed)
        scoring = by_judge(bench, rules, judge, reading.layout)
    return lambda samples: [replace(s, score=x) for s, x in zip(samples, scoring(samples), strict=True)]


def scored_blocks(task: Task, reading: Reading, blocks: list[list[Sample]]) -> Iterable[list[Sample]]:
    """Scored samples block by block; without a judge over the cores, where there are many."""
    if reading.kind == "judge":
        return map(scorer(task.bench, task.rules, reading), blocks)
    work = partial(_score_block, task.name, task.rules, reading)
    return over_cores(work, blocks, alone=sum(map(len, blocks)) < ALONE, start=sandbox.start)


def _score_block(name: str, rules: Rules, reading: Reading, samples: list[Sample]) -> list[Sample]:
    """As `scorer`, with the benchmark by name, for another process."""
    return scorer(find_bench(name), rules, reading)(samples)
