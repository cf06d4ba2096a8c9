"""Let an engine answer problems, or take answers made elsewhere, and score them; a killed evaluation resumes.

With `bench` the problems are a benchmark's, read from the files its authors publish and scored as they do:
docs/benchmarks.md has the benchmarks, their files and the figures that come out.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from visreason.bench import suites
from visreason.bench import summary as figures
from visreason.bench import task as tasks
from visreason.bench.asking import DEVICES, Asked, answers, devices, scored_given
from visreason.bench.files import located
from visreason.bench.judging import MAX_TOKENS
from visreason.bench.kind import Rules
from visreason.bench.settings import ASKED, Evaluating
from visreason.bench.task import Reading, Task
from visreason.data import has_meta, part, read_problems
from visreason.data.files import shown
from visreason.engine import Engine, Sampling, connect
from visreason.errors import DataError
from visreason.names import engine_kind
from visreason.prompt import Style, style
from visreason.record import Problem, Sample
from visreason.reward import from_names
from visreason.stats import Interval, counts
from visreason.store import IMAGES, MANIFEST, PICTURES, Run, manifest, model_files, of_other_style
from visreason.world.source import data_files, model_folder

WARN_CUT = 0.2
"""The share of answers cut off from which on it is said; as GRPO's warn_truncated."""


class Recipe(Evaluating):
    """What answers, what is asked, how it is decoded, how answers are read."""


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
    if said := of_other_style(recipe.model, recipe.style):
        console.print(f"[yellow]{said}")
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
    samples = answers(record, asked, partial(_engine, recipe, out, layout), console)
    inputs = [*data, *_answering(recipe, out, layout)]
    _seal(record, samples, figures.overview(samples), inputs, len(rejected))


def _run_bench(recipe: Recipe, out: Path, record: Run) -> None:
    task = _task(recipe, out)
    _set_aside(record, task.rejected)
    judging = recipe.engine_options(MAX_TOKENS)
    reading = Reading(recipe.extraction, recipe.style, recipe.judge, recipe.judge_cache, judging)
    layout = tasks.layout(task.bench, recipe.style)
    if recipe.completions:
        samples = scored_given(record, task, reading, console)
    else:
        samples = _live(recipe, out, record, task, reading)
    summary = figures.overview(samples, by_meta=False)
    summary |= figures.summarize(task.bench, samples, recipe.extraction, task.missing)
    asked = None if recipe.completions else {n: getattr(recipe, n) for n in ASKED}
    summary["protocol"] = figures.card(task, reading, asked)
    _show(task, summary)
    _seal(record, samples, summary, [*task.inputs, *_answering(recipe, out, layout)], len(task.rejected))


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
    where = devices(m["device"] for m in made.values())
    record.seal(summary, [out / name / MANIFEST for name in made], totals, where)
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


def _live(recipe: Recipe, out: Path, record: Run, task: Task, reading: Reading) -> list[Sample]:
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
    for rule, found in summary.get("guessed", {}).items():
        console.print(
            f"  guessed ({rule}): {found['n']} answers, {found['right']} of them right", highlight=False
        )


def _seal(
    record: Run, samples: list[Sample], summary: dict[str, Any], inputs: list[Path], rejected: int
) -> None:
    """Seal, and say the accuracy."""
    if troubles := record.troubles():
        summary["troubles"] = troubles
    record.seal(
        summary,
        inputs,
        {**counts(s.score for s in samples), "rejected": rejected},
        devices(row["device"] for row in record.rows(DEVICES)),
    )
    cut = sum(s.score.reason == "truncated" for s in samples)
    if cut > WARN_CUT * len(samples):
        console.print(f"[yellow]{cut} of {len(samples)} answers were cut off; raise max_completion_tokens")
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


def _answering(recipe: Recipe, out: Path, layout: Style) -> list[Path]:
    """The files of the model or the script that answered, as far as they are here: not of a server, of completions made
    elsewhere, and of a model on the machine of a shard."""
    spec = recipe.model.removeprefix(f"{engine_kind(recipe.model)}:")
    here = spec == "world" or (spec and Path(spec).exists())
    return model_files(model_folder(spec, out, layout, recipe.seed)) if here else []


def _engine(recipe: Recipe, out: Path, layout: Style) -> Engine:
    model = model_folder(recipe.model, out, layout, recipe.seed)
    kept = recipe.responses or out / "responses.sqlite"
    return connect(model, **recipe.engine_options(recipe.max_completion_tokens, kept))


def _well_formed(layout: Style, sample: Sample) -> float:
    return float(layout.parse(sample.completion.text).well_formed)
