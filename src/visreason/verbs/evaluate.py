"""Let an engine answer problems and score the answers; a killed evaluation resumes where it stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console
from rich.progress import track

from visreason.data import has_meta, part, read_problems
from visreason.engine import Engine, Sampling, connect
from visreason.errors import DataError
from visreason.prompt import Style, messages, style
from visreason.recipe import Answering
from visreason.record import Problem, Sample, Score
from visreason.reward import Reward, from_names
from visreason.stats import Interval, accuracies, counts
from visreason.store import SAMPLES, Run, model_files
from visreason.world.source import data_file, model_folder

META = ("family", "category", "subject", "source", "level")
"""Fields of `meta` by which the summary divides the problems."""


class Recipe(Answering):
    """What answers, what is asked, how it is decoded."""

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
        return {
            **super().idle(),
            **(dict.fromkeys(("samples", "top_p"), "a temperature above 0") if alike else {}),
        }


console = Console(stderr=True)


def run(recipe: Recipe, out: Path) -> None:
    """Answer, score and seal. The manifest's summary has both accuracies with intervals, format, length, and accuracy
    by family, category, subject, source or level where the problems have them."""
    record = Run.open(out, "evaluate", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    layout = style(recipe.style)
    data = data_file(recipe.data, out, layout)
    problems, rejected = _problems(recipe, data, record)
    samples = _on_disk(record, recipe, problems)
    engine = None
    if len(samples) < recipe.samples * len(problems):
        engine = _engine(recipe, out, layout)
        console.print(
            f"{len(problems)} problems, {len(rejected)} set aside; {recipe.samples} answers each at temperature "
            f"{recipe.temperature:g} from {engine.name}"
        )
        reward = from_names({"correct": 1.0, "format": 0.0}, layout)
        samples = _answer(record, recipe, problems, samples, engine, layout, reward)
    summary = summarize(samples)
    if troubles := getattr(engine, "troubles", None):
        summary["troubles"] = dict(troubles)
    inputs = [data, *model_files(samples[0].completion.model.partition(":")[2])]
    record.seal(
        summary,
        inputs,
        {**counts(s.score for s in samples), "rejected": len(rejected)},
        engine.device if engine else "none",
    )
    completed = summary["accuracy_of_completed"]
    console.print(
        f"accuracy {Interval(**summary['accuracy'])}; of completed answers "
        f"{Interval(**completed) if completed else 'none'}; format {summary['format']:.3f}; {out}"
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
    record: Run,
    recipe: Recipe,
    problems: list[Problem],
    samples: list[Sample],
    engine: Engine,
    layout: Style,
    reward: Reward,
) -> list[Sample]:
    """Samples of every problem, in order, block by block; those on disk are not asked again."""
    n, size = recipe.samples, recipe.block
    blocks = [problems[i : i + size] for i in range(0, len(problems), size)]
    done = len(samples) // (n * size)
    for i in track(range(done, len(blocks)), "evaluate", total=len(blocks), completed=done, console=console):
        seed = recipe.seed * 100_003 + i
        sampling = Sampling(n, recipe.temperature, recipe.top_p, 0, recipe.max_completion_tokens, seed)
        answers = engine.generate([messages(p, layout) for p in blocks[i]], sampling)
        fresh = [Sample(p, c, Score(0.0)) for p, group in zip(blocks[i], answers, strict=True) for c in group]
        fresh = [replace(s, score=score) for s, score in zip(fresh, reward(fresh), strict=True)]
        record.append(SAMPLES, fresh)
        samples += fresh
    return samples


def summarize(samples: list[Sample]) -> dict[str, Any]:
    """The manifest's summary of scored samples."""
    both = accuracies(samples)
    lengths = [len(s.completion.token_ids) for s in samples if s.completion.token_ids]
    summary: dict[str, Any] = {
        "accuracy": both["all"].as_dict(),
        "accuracy_of_completed": both["completed"].as_dict() if "completed" in both else None,
        "format": sum(s.score.parts.get("format", 0.0) for s in samples) / len(samples),
        "completion_tokens": sum(lengths) / len(lengths) if lengths else None,
    }
    for name in META:
        values = sorted({str(s.problem.meta[name]) for s in samples if name in s.problem.meta})
        if 1 < len(values) <= 40:
            groups = {v: [s for s in samples if str(s.problem.meta.get(name)) == v] for v in values}
            summary[f"by_{name}"] = {v: accuracies(g)["all"].as_dict() for v, g in groups.items()}
    return summary
