"""Let an engine answer problems, or take answers made elsewhere, and score them; a killed evaluation resumes.

With `bench` the problems are a benchmark's, read from the files its authors publish and scored as they do:
docs/benchmarks.md has the benchmarks, their files and the figures that come out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from rich.console import Console
from rich.progress import track

from visreason.bench import suites
from visreason.bench import summary as figures
from visreason.bench import task as tasks
from visreason.bench.files import located
from visreason.bench.kind import Rules
from visreason.bench.task import BLOCK, OFFICIAL, Task
from visreason.data import has_meta, part, read_problems
from visreason.engine import Engine, Sampling, connect
from visreason.errors import DataError
from visreason.prompt import Style, messages, style
from visreason.recipe import Answering
from visreason.record import Problem, Sample, Score
from visreason.reward import from_names
from visreason.stats import Interval, accuracies, counts
from visreason.store import MANIFEST, SAMPLES, Run, manifest, model_files
from visreason.world.source import data_file, model_folder

META = ("family", "category", "subject", "source", "level")
"""Fields of `meta` by which the summary divides the problems."""
ASKING = ("temperature", "top_p", "max_completion_tokens", "precision", "max_pixels", "min_pixels", "device")
ASKED = ("model", "samples", "seed", *ASKING[:-1])
BENCH_ONLY = (
    "completions", "split", "extraction", "judge", "judge_cache", "integer", "random_fallback", "partial", "rewards",
    "trials",
)  # fmt: skip


Scored = Callable[[list[Sample]], list[Sample]]
"""Fills in the scores of fresh samples."""


@dataclass(frozen=True)
class Asked:
    """What an engine is asked: problems, how each is put, the layout of the answers, and how those are scored."""

    problems: list[Problem]
    lay: Callable[[Problem], Style]
    layout: Style
    scored: Scored


class Recipe(Answering):
    """What answers, what is asked, how it is decoded, how answers are read."""

    data: str = Field(
        "",
        description="Problems: a JSONL file of records or flat rows, or world:SPLIT:N; of a benchmark the file or "
        "folder its authors publish, or hub:OWNER/NAME[@REVISION]; not needed where completions carry their problems.",
        examples=["world:heldout:500"],
    )
    model: str = Field(
        "",
        description="Engine: hf:PATH, vllm:PATH, http://HOST/v1#MODEL, script:FILE.jsonl, a run directory, or world.",
        examples=["runs/grpo/a"],
    )
    bench: str | None = Field(None, description="Benchmark by name, or module:object; its rules then hold.")
    split: str | None = Field(None, description="Split of the benchmark; its first when not given.")
    completions: Path | None = Field(
        None, description="Answers made elsewhere, in place of a model: a file or folder as it was released."
    )
    extraction: Literal["rule", "stored", "judge"] = Field(
        "rule",
        description="How answers are read: by rule from the raw responses, as stored in released files, or by a judge.",
    )
    judge: str | None = Field(None, description="Engine that extracts and judges (extraction=judge).")
    judge_cache: Path = Field(
        Path("runs/judge.jsonl"), description="Replies of judges; nothing in it is asked again."
    )
    integer: Literal["strict", "float"] = Field(
        "strict",
        description="MathVista's whole numbers: int(text), as in published labels, or int(float(text)).",
    )
    random_fallback: bool = Field(
        False,
        description="Guess where no option can be read, as MMMU's published figures do; else it is unparsed.",
    )
    partial: bool = Field(
        False, description="Allow fewer completions than problems; the figures are labelled so."
    )
    trials: int = Field(
        1,
        ge=1,
        description="How often a judge sees each pair of a reward benchmark, in shuffled orders.",
    )
    rewards: Path | None = Field(
        None,
        description="Rewards of the samples, as score writes or as rows of id and reward: gives best of n.",
    )
    samples: int = Field(1, ge=1, description="Answers to each problem.")
    temperature: float = Field(0.0, ge=0, description="Sampling temperature; 0 takes the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus of the sampling.")
    max_completion_tokens: int = Field(
        1024, ge=1, description="Longest answer; longer ones are cut and counted."
    )
    block: int = Field(
        128, ge=1, description="Problems asked at a time; a resumed run goes on after the last whole block."
    )

    def idle(self) -> dict[str, str]:
        alike = not self.temperature and not self.model.startswith("script:")
        without = {} if self.bench else dict.fromkeys(BENCH_ONLY, "bench")
        if self.completions:
            without |= dict.fromkeys(ASKING, "a model")
        elif alike:
            without |= dict.fromkeys(("samples", "top_p"), "a temperature above 0")
        if self.extraction != "judge":
            without |= dict.fromkeys(("judge", "judge_cache"), "extraction=judge")
        return {**super().idle(), **without}

    @model_validator(mode="after")
    def _need(self) -> Self:
        fields = type(self).model_fields
        if not self.model and not self.completions:
            raise ValueError(
                f"model is needed: {fields['model'].description} Give model=... (or completions=...)"
            )
        if self.model and self.completions:
            raise ValueError("expected a model or completions, found both; leave one out")
        if not self.data and not self.completions:
            raise ValueError(f"data is needed: {fields['data'].description} Give data=...")
        if self.extraction == "judge" and self.judge is None:
            raise ValueError("extraction=judge needs an engine; give judge=...")
        if self.extraction == "stored" and self.model:
            raise ValueError(
                "extraction=stored reads released completions; give completions=... in place of model"
            )
        if self.style == OFFICIAL and not self.bench:
            raise ValueError("style=official is a benchmark's own prompt; give bench=...")
        return self


console = Console(stderr=True)


def run(recipe: Recipe, out: Path) -> None:
    """Answer, score and seal. The manifest's summary has both accuracies with intervals, format, length, and accuracy
    by family, category, subject, source or level where the problems have them; of a benchmark also its figures."""
    record = Run.open(out, "evaluate", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    if recipe.bench is None:
        _run_plain(recipe, out, record)
    elif recipe.bench in suites.SUITES:
        _run_suite(recipe, out, record, recipe.bench)
    else:
        _run_bench(recipe, out, record)


def _run_plain(recipe: Recipe, out: Path, record: Run) -> None:
    layout = style(recipe.style)
    data = data_file(recipe.data, out, layout)
    problems, rejected = _problems(recipe, data, record)
    reward = from_names({"correct": 1.0, "format": 0.0}, layout)

    def scored(fresh: list[Sample]) -> list[Sample]:
        return [replace(s, score=score) for s, score in zip(fresh, reward(fresh), strict=True)]

    asked = Asked(problems, lambda problem: layout, layout, scored)
    samples, engine = _answer(record, recipe, out, asked, len(rejected))
    _seal(record, samples, {}, [data], len(rejected), engine)


def _run_bench(recipe: Recipe, out: Path, record: Run) -> None:
    task = _task(recipe, out)
    record.set_aside(task.rejected)
    engine = None
    if recipe.completions:
        samples = _score_given(record, recipe, task)
    else:
        layout = tasks.layout(task.bench, recipe.style)
        lay = partial(tasks.layout, task.bench, recipe.style)
        asked = Asked(task.problems, lay, layout, _bench_scoring(recipe, task))
        samples, engine = _answer(record, recipe, out, asked, len(task.rejected))
    summary = figures.summarize(task.bench, samples, recipe.extraction, task.missing)
    summary["protocol"] = _card(recipe, task)
    _show(task, summary)
    _seal(record, samples, summary, list(task.inputs), len(task.rejected), engine)


def _run_suite(recipe: Recipe, out: Path, record: Run, suite: str) -> None:
    """Every benchmark of a suite as a run of its own in `out`; data and completions are folders with one of each."""
    for name in suites.SUITES[suite]:
        paths = {
            "data": str(suites.part(Path(recipe.data), name)) if recipe.data else "",
            "completions": suites.part(recipe.completions, name) if recipe.completions else None,
        }
        run(recipe.model_copy(update={"bench": name, **paths}), out / name)
    made = {name: manifest(out / name) for name in suites.SUITES[suite]}
    summary = suites.average(suite, {name: m["summary"] for name, m in made.items()})
    totals = {k: sum(m["counts"][k] for m in made.values()) for k in made[next(iter(made))]["counts"]}
    record.seal(summary, [out / name / MANIFEST for name in made], totals)
    console.print(f"{suite}: average {summary['rounded']} (truncated {summary['truncated']}); {out}")


def _task(recipe: Recipe, out: Path) -> Task:
    assert recipe.bench is not None
    rules = Rules(recipe.integer, recipe.random_fallback, recipe.trials, recipe.seed)
    kept = out / "images"
    if recipe.completions is None:
        task = tasks.live(recipe.bench, located(recipe.data), recipe.split, rules, kept)
    else:
        data = located(recipe.data) if recipe.data else None
        task = tasks.released(
            recipe.bench, data, recipe.split, rules, recipe.completions, recipe.samples, recipe.partial, kept
        )
    task = tasks.narrowed(task, recipe.where, recipe.limit, recipe.shard)
    return tasks.with_rewards(task, recipe.rewards) if recipe.rewards else task


def _bench_scoring(recipe: Recipe, task: Task) -> Scored:
    """The scoring of fresh samples by the recipe's extraction; `format` is kept beside it."""
    layout = tasks.layout(task.bench, recipe.style)

    def scored(fresh: list[Sample]) -> list[Sample]:
        found = [s for block in _blocks(recipe, task, [fresh]) for s in block]
        formats = [float(layout.parse(s.completion.text).well_formed) for s in found]
        return [
            replace(s, score=replace(s.score, parts={**s.score.parts, "format": f}))
            for s, f in zip(found, formats, strict=True)
        ]

    return scored


def _blocks(recipe: Recipe, task: Task, blocks: list[list[Sample]]) -> Iterator[list[Sample]]:
    if recipe.extraction == "judge":
        assert recipe.judge is not None
        read_as = None if recipe.style == OFFICIAL else style(recipe.style)
        return tasks.judged_blocks(task.bench, task.rules, recipe.judge, recipe.judge_cache, read_as, blocks)
    return tasks.scored_blocks(recipe.bench or "", recipe.extraction, task.rules, recipe.style, blocks)


def _score_given(record: Run, recipe: Recipe, task: Task) -> list[Sample]:
    """Scored samples of completions made elsewhere, in order; those on disk are not scored again."""
    scored = record.records(SAMPLES, Sample)
    done = len(scored) // BLOCK
    scored = scored[: done * BLOCK]
    record.keep(SAMPLES, len(scored))
    blocks = [task.given[i : i + BLOCK] for i in range(done * BLOCK, len(task.given), BLOCK)]
    console.print(f"{len(task.given)} completions of {len(task.problems)} problems of {task.bench.title}")
    fresh = _blocks(recipe, task, blocks)
    for block in track(fresh, "score", total=done + len(blocks), completed=done, console=console):
        record.append(SAMPLES, block)
        scored += block
    return scored


def _card(recipe: Recipe, task: Task) -> dict[str, Any]:
    asked = {n: getattr(recipe, n) for n in ASKED} if recipe.model else {"made": "elsewhere"}
    read = {"kind": recipe.extraction, "judge": recipe.judge}
    layout = tasks.layout(task.bench, recipe.style) if recipe.model else None
    return figures.card(task.bench, task.source, task.problems, task.rules, read, asked, layout)


def _show(task: Task, summary: dict[str, Any]) -> None:
    """The first figures, and what limits them."""
    if summary["partial"]:
        console.print(
            f"PARTIAL: {summary['missing']} problems of {task.bench.title} are missing; no published figure"
        )
    shown = [name for name in task.bench.headline if name in summary["figures"]]
    for name in shown:
        figure = summary["figures"][name]
        bounds = f"[{figure['low']:.1f}, {figure['high']:.1f}], n = {figure['n']}"
        console.print(f"  {name:<24} {figure['value']:.2f} {bounds}", markup=False, highlight=False)


def _seal(
    record: Run,
    samples: list[Sample],
    more: dict[str, Any],
    inputs: list[Path],
    rejected: int,
    engine: Engine | None,
) -> None:
    summary = {**summarize(samples, by_meta=not more), **more}
    if troubles := getattr(engine, "troubles", None):
        summary["troubles"] = dict(troubles)
    model = samples[0].completion.model.partition(":")[2]
    record.seal(
        summary,
        [*inputs, *(model_files(model) if model else [])],
        {**counts(s.score for s in samples), "rejected": rejected},
        engine.device if engine else "none",
    )
    completed = summary["accuracy_of_completed"]
    console.print(
        f"accuracy {Interval(**summary['accuracy'])}; of completed answers "
        f"{Interval(**completed) if completed else 'none'}; format {summary['format']:.3f}; {record.path}"
    )


def _problems(recipe: Recipe, data: Path, record: Run) -> tuple[list[Problem], list[dict[str, Any]]]:
    rejected: list[dict[str, Any]] = []
    problems = [p for p in read_problems(data, rejected, need_answer=True) if has_meta(p, recipe.where)]
    if not problems:
        raise DataError(f"expected problems in {data}, found none with {recipe.where}; change where")
    record.set_aside(rejected)
    return part(problems[: recipe.limit], recipe.shard), rejected


def _engine(recipe: Recipe, out: Path, layout: Style) -> Engine:
    model = model_folder(recipe.model, out, layout, recipe.seed)
    options = recipe.engine_options(out)
    return connect(model, **options, max_completion_tokens=recipe.max_completion_tokens)


def _on_disk(record: Run, recipe: Recipe, problems: list[Problem]) -> list[Sample]:
    """The samples of the whole blocks that were answered before; what follows them is cut off."""
    samples = record.records(SAMPLES, Sample)
    asked = min(len(samples) // recipe.samples, len(problems))
    if asked < len(problems):
        asked -= asked % recipe.block
    record.keep(SAMPLES, recipe.samples * asked)
    return samples[: recipe.samples * asked]


def _answer(
    record: Run, recipe: Recipe, out: Path, asked: Asked, rejected: int
) -> tuple[list[Sample], Engine | None]:
    """Samples of every problem, in order, block by block, and the engine, if one was needed; samples on disk are not
    asked again."""
    problems = asked.problems
    samples = _on_disk(record, recipe, problems)
    n, size = recipe.samples, recipe.block
    if len(samples) == n * len(problems):
        return samples, None
    engine = _engine(recipe, out, asked.layout)
    console.print(
        f"{len(problems)} problems, {rejected} set aside; {n} answers each at temperature {recipe.temperature:g} "
        f"from {engine.name}"
    )
    blocks = [problems[i : i + size] for i in range(0, len(problems), size)]
    done = len(samples) // (n * size)
    for i in track(range(done, len(blocks)), "evaluate", total=len(blocks), completed=done, console=console):
        seed = recipe.seed * 100_003 + i
        sampling = Sampling(n, recipe.temperature, recipe.top_p, 0, recipe.max_completion_tokens, seed)
        answers = engine.generate([messages(p, asked.lay(p)) for p in blocks[i]], sampling)
        fresh = [Sample(p, c, Score(0.0)) for p, group in zip(blocks[i], answers, strict=True) for c in group]
        fresh = asked.scored(fresh)
        record.append(SAMPLES, fresh)
        samples += fresh
    return samples, engine


def summarize(samples: list[Sample], by_meta: bool = True) -> dict[str, Any]:
    """The manifest's summary of scored samples."""
    both = accuracies(samples)
    lengths = [len(s.completion.token_ids) for s in samples if s.completion.token_ids]
    summary: dict[str, Any] = {
        "accuracy": both["all"].as_dict(),
        "accuracy_of_completed": both["completed"].as_dict() if "completed" in both else None,
        "format": sum(s.score.parts.get("format", 0.0) for s in samples) / len(samples),
        "completion_tokens": sum(lengths) / len(lengths) if lengths else None,
    }
    for name in META if by_meta else ():
        values = sorted({str(s.problem.meta[name]) for s in samples if name in s.problem.meta})
        if 1 < len(values) <= 40:
            groups = {v: [s for s in samples if str(s.problem.meta.get(name)) == v] for v in values}
            summary[f"by_{name}"] = {v: accuracies(g)["all"].as_dict() for v, g in groups.items()}
    return summary
