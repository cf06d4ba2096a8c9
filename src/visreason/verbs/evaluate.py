"""Let an engine answer problems, or take answers made elsewhere, and score them; a killed evaluation resumes.

With `bench` the problems are a benchmark's, read from the files its authors publish and scored as they do:
docs/benchmarks.md has the benchmarks, their files and the figures that come out.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from rich.console import Console

from visreason.bench import BENCHES, suites
from visreason.bench import summary as figures
from visreason.bench import task as tasks
from visreason.bench.asking import Asked, answers, scored_given
from visreason.bench.files import located
from visreason.bench.judging import MAX_TOKENS
from visreason.bench.kind import Rules
from visreason.bench.task import OFFICIAL, Reading, Task
from visreason.data import has_meta, part, read_problems
from visreason.data.files import shown
from visreason.engine import Engine, Sampling, connect
from visreason.errors import DataError
from visreason.names import engine_kind
from visreason.prompt import Style, style
from visreason.recipe import FILES, Answering, Data, Decoding
from visreason.record import Problem, Sample
from visreason.reward import from_names
from visreason.stats import Interval, counts
from visreason.store import IMAGES, MANIFEST, PICTURES, Run, manifest, model_files, trained_style
from visreason.world.source import data_files, model_folder

DECODING = ("temperature", "top_p", "top_k", "repetition_penalty", "max_completion_tokens")
ASKED = ("model", "samples", "seed", *DECODING, "precision", "max_pixels", "min_pixels")
BENCH_ONLY = (
    "completions", "split", "extraction", "judge", "judge_cache", "integer", "random_fallback", "partial", "rewards",
    "trials",
)  # fmt: skip


class Recipe(Answering, Decoding):
    """What answers, what is asked, how it is decoded, how answers are read."""

    ROLES = ("model", "judge")

    data: Data = Field(
        "",
        description=f"Problems: {FILES}, or world:SPLIT:N; of a benchmark the file or "
        "folder its authors publish, or hub:OWNER/NAME[@REVISION]; not needed where completions carry their problems.",
        examples=["world:heldout:500"],
    )
    model: str = Field(
        "",
        description="Engine: hf:PATH, vllm:PATH, http://HOST/v1#MODEL, script:FILE.jsonl, a run directory, or world.",
        examples=["runs/grpo/a"],
    )
    bench: str | None = Field(
        None,
        description=f"Benchmark, whose rules then hold: {', '.join((*BENCHES, *suites.SUITES))}, or module:object.",
    )
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
        Path("runs/judge.sqlite"),
        description="Replies of judges (SQLite); nothing in it is asked again, and runs may share it.",
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
        False,
        description="Make figures of fewer problems or completions than the split has, labelled so; else refused.",
    )
    trials: int = Field(
        1,
        ge=1,
        description="How often the model, as a judge, sees each pair of a reward benchmark, in shuffled orders.",
    )
    rewards: Path | None = Field(
        None,
        description="Rewards of the samples, as score writes or as rows of id and reward: gives best of n.",
    )
    samples: int = Field(1, ge=1, description="Answers to each problem.")
    max_completion_tokens: int = Field(
        1024, ge=1, description="Longest answer; longer ones are cut and counted."
    )
    block: int = Field(
        128, ge=1, description="Problems asked at a time; a resumed run goes on after the last whole block."
    )

    def idle(self) -> dict[str, str]:
        without = {} if self.bench else dict.fromkeys(BENCH_ONLY, "bench")
        if self.completions:
            without |= dict.fromkeys((*DECODING, "trials"), "a model")
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
        if self.model.startswith("learned:"):
            raise ValueError(
                f"expected an engine that answers, found the reward model {self.model}, which gives scores: `visreason "
                f"score samples=DATA reward={self.model} out=RUN`, then give completions=RUN/scores.jsonl with "
                "extraction=stored in place of model"
            )
        if self.model and self.completions:
            raise ValueError("expected a model or completions, found both; leave one out")
        if not self.data and not self.completions:
            raise ValueError(f"data is needed: {fields['data'].description} Give data=...")
        if self.bench and isinstance(self.data, list):
            raise ValueError("a benchmark's data is one file or folder, as its authors publish it; give one")
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
    if recipe.samples > 1 and recipe.temperature == 0 and engine_kind(recipe.model) != "script":
        console.print(
            f"[yellow]samples={recipe.samples} at temperature=0 are {recipe.samples} times the same answer; give a "
            "temperature above 0"
        )
    if (trained := trained_style(recipe.model)) not in (None, recipe.style):
        console.print(f"[yellow]{recipe.model} was trained in style={trained}, and is asked in another")
    if recipe.bench is None:
        _run_plain(recipe, out, record)
    elif recipe.bench in suites.SUITES:
        _run_suite(recipe, out, record, recipe.bench)
    else:
        _run_bench(recipe, out, record)


def _run_plain(recipe: Recipe, out: Path, record: Run) -> None:
    layout = style(recipe.style)
    data = data_files(recipe.data, out, layout)
    problems, rejected = _problems(recipe, data, record)
    reward = from_names({"correct": 1.0, "format": 0.0}, layout)

    def scored(fresh: list[Sample]) -> list[Sample]:
        return [replace(s, score=score) for s, score in zip(fresh, reward(fresh), strict=True)]

    asked = Asked(problems, lambda problem: layout, scored, _sampling(recipe), recipe.block)
    samples, engine = answers(record, asked, partial(_engine, recipe, out, layout), console)
    _seal(
        record,
        samples,
        figures.overview(samples),
        data,
        len(rejected),
        engine,
        _answering(recipe, out, layout),
    )


def _run_bench(recipe: Recipe, out: Path, record: Run) -> None:
    task = _task(recipe, out)
    _set_aside(record, task.rejected)
    judging = recipe.engine_options(MAX_TOKENS)
    reading = Reading(recipe.extraction, recipe.style, recipe.judge, recipe.judge_cache, judging)
    layout = tasks.layout(task.bench, recipe.style)
    if recipe.completions:
        samples, engine = scored_given(record, task, reading, console), None
    else:
        samples, engine = _live(recipe, out, record, task, reading)
    summary = figures.overview(samples, by_meta=False)
    summary |= figures.summarize(task.bench, samples, recipe.extraction, task.missing)
    asked = None if recipe.completions else {n: getattr(recipe, n) for n in ASKED}
    summary["protocol"] = figures.card(task, reading, asked)
    _show(task, summary)
    _seal(
        record,
        samples,
        summary,
        list(task.inputs),
        len(task.rejected),
        engine,
        _answering(recipe, out, layout),
    )


def _run_suite(recipe: Recipe, out: Path, record: Run, suite: str) -> None:
    """Every benchmark of a suite as a run of its own in `out`; data and completions are folders with one of each."""
    for name in suites.SUITES[suite]:
        own = {
            "bench": name,
            "data": str(suites.part(Path(str(recipe.data)), name)) if recipe.data else "",
            "completions": suites.part(recipe.completions, name) if recipe.completions else None,
            **tasks.unheeded(name),
        }
        run(recipe.model_copy(update=own), out / name)
    made = {name: manifest(out / name) for name in suites.SUITES[suite]}
    summary = suites.average(suite, {name: m["summary"] for name, m in made.items()})
    totals = {k: sum(m["counts"][k] for m in made.values()) for k in made[next(iter(made))]["counts"]}
    record.seal(summary, [out / name / MANIFEST for name in made], totals)
    console.print(f"{suite}: average {summary['rounded']} (truncated {summary['truncated']}); {out}")


def _task(recipe: Recipe, out: Path) -> Task:
    """The benchmark's problems and what was given for them; refused where outputs are missing and no part was asked."""
    assert recipe.bench is not None
    rules = Rules(recipe.integer, recipe.random_fallback, recipe.trials, recipe.seed)
    kept = out / IMAGES
    if recipe.completions is None:
        task = tasks.live(recipe.bench, located(str(recipe.data)), recipe.split, rules, kept)
    else:
        data = located(str(recipe.data)) if recipe.data else None
        task = tasks.released(
            recipe.bench, data, recipe.split, rules, recipe.completions, recipe.samples, recipe.partial, kept
        )
    if not (recipe.partial or recipe.limit or recipe.where):
        tasks.refuse_part(task)
    task = tasks.narrowed(task, recipe.where, recipe.limit, recipe.shard)
    return tasks.with_rewards(task, recipe.rewards) if recipe.rewards else task


def _live(
    recipe: Recipe, out: Path, record: Run, task: Task, reading: Reading
) -> tuple[list[Sample], Engine | None]:
    """An engine's answers, scored; `format` is kept beside the score."""
    layout = tasks.layout(task.bench, recipe.style)
    score = tasks.scorer(task.bench, task.rules, reading)

    def scored(fresh: list[Sample]) -> list[Sample]:
        return [
            replace(s, score=replace(s.score, parts={**s.score.parts, "format": _well_formed(layout, s)}))
            for s in score(fresh)
        ]

    lay = partial(tasks.layout, task.bench, recipe.style)
    asked = Asked(tasks.questions(task), lay, scored, _sampling(recipe), recipe.block)
    return answers(record, asked, partial(_engine, recipe, out, layout), console)


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
    summary: dict[str, Any],
    inputs: list[Path],
    rejected: int,
    engine: Engine | None,
    answered: str | None,
) -> None:
    """Seal, with the files of what answered among the inputs, and say the accuracy."""
    if troubles := record.troubles():
        summary["troubles"] = troubles
    record.seal(
        summary,
        [*inputs, *(model_files(answered) if answered else [])],
        {**counts(s.score for s in samples), "rejected": rejected},
        engine.device if engine else "none",
    )
    completed = summary["accuracy_of_completed"]
    layout = "" if summary["format"] is None else f"; format {summary['format']:.3f}"
    console.print(
        f"accuracy {Interval(**summary['accuracy'])}; of completed answers "
        f"{Interval(**completed) if completed else 'none'}{layout}; {record.path}"
    )


def _problems(recipe: Recipe, data: list[Path], record: Run) -> tuple[list[Problem], list[dict[str, Any]]]:
    rejected: list[dict[str, Any]] = []
    found = read_problems(data, rejected, need_answer=True, seen=record.path / PICTURES)
    problems = [p for p in found if has_meta(p, recipe.where)]
    if not problems:
        raise DataError(f"expected problems in {shown(data)}, found none with {recipe.where}; change where")
    _set_aside(record, rejected)
    return part(problems[: recipe.limit], recipe.shard), rejected


def _set_aside(record: Run, rejected: list[dict[str, Any]]) -> None:
    if said := record.set_aside(rejected):
        console.print(said, markup=False)


def _sampling(recipe: Recipe) -> Sampling:
    part = int(recipe.shard.partition("/")[0]) - 1 if recipe.shard else 0
    seed = recipe.seed + 1_000_003 * part  # parts draw numbers of their own
    return Sampling(**recipe.sampling(recipe.samples, recipe.max_completion_tokens, seed))


def _answering(recipe: Recipe, out: Path, layout: Style) -> str | None:
    """The path of the model or the script that answered; None of a server, and of completions made elsewhere."""
    kind = engine_kind(recipe.model)
    if not recipe.model or kind == "http":
        return None
    return model_folder(recipe.model.removeprefix(f"{kind}:"), out, layout, recipe.seed)


def _engine(recipe: Recipe, out: Path, layout: Style) -> Engine:
    model = model_folder(recipe.model, out, layout, recipe.seed)
    kept = recipe.responses or out / "responses.sqlite"
    return connect(model, **recipe.engine_options(recipe.max_completion_tokens, kept))


def _well_formed(layout: Style, sample: Sample) -> float:
    return float(layout.parse(sample.completion.text).well_formed)
