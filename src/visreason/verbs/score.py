"""Score responses that are on file with a reward; where rows carry recorded verdicts, show the agreement with them.

With reward=learned:PATH a reward model scores samples, and says what choosing the best of them gives; or pairs, and
says how often the chosen side has the higher score.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console
from rich.progress import Progress, track

from visreason import recipe
from visreason.answer import check, sandbox
from visreason.answer.recorded import check_extraction
from visreason.cores import over_cores
from visreason.data import has_meta, part, read_samples
from visreason.data.files import read_rows
from visreason.data.pairs import is_pair, read_pairs
from visreason.errors import DataError
from visreason.prompt import style
from visreason.record import Problem, Sample, Score
from visreason.reward import REWARDS, from_names
from visreason.reward.agreement import agreement, grouped, set_aside, verdict
from visreason.reward.ranking import best_over_mean, calibration, choices, pair_summary
from visreason.stats import Interval, accuracies, counts
from visreason.store import IMAGES, SAMPLES, Run, model_files, model_path

GOLDS = "golds.jsonl"
BLOCK, ALONE = 256, 1_000
"""Samples a process scores at a time, and how many are too few to start processes for."""
SHOWN = 5
MAX_GROUPS = 200
LEARNED, PAIR_SCORES = "learned:", "scores.jsonl"


class Recipe(recipe.Recipe):
    """What is scored, and by which reward."""

    samples: Path = Field(
        description="Responses: a .jsonl or .json file of samples, or of rows with answer and response.",
        examples=["answers.jsonl"],
    )
    reward: str = Field(
        "correct", description="A reward's name, module:function, or learned:PATH of a reward model."
    )
    style: str = Field("awaker", description="The layout that reward=format expects.")
    by: list[str] = Field(
        ["kind", "family", "category", "subject", "level"],
        description="Fields of meta by which the summary divides the samples.",
    )
    where: dict[str, str | int] = Field(
        {}, description="Score only problems whose meta has these values, as {level: 1}."
    )
    limit: int | None = Field(None, ge=1, description="Score only the first samples.")
    shard: recipe.Shard | None = Field(None, description=recipe.SHARD)
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Numbers the reward model computes with."
    )
    max_pixels: int | None = Field(
        None, ge=784, description="Largest image area the reward model sees, in pixels."
    )
    device: str = Field("auto", description="cpu, cuda, or auto: where the reward model runs.")

    def idle(self) -> dict[str, str]:
        names = () if self.reward.startswith(LEARNED) else ("precision", "max_pixels", "device")
        return {**super().idle(), **dict.fromkeys(names, "reward=learned:PATH")}


console = Console(stderr=True)


def run(recipe: Recipe, out: Path) -> None:
    """Score and seal. The manifest's summary has accuracies with intervals, and `agreement` with recorded verdicts.

    A response that states no answer is judged by the row's `extraction`, where it has one; `agreement` without those is
    kept beside it.
    """
    if not recipe.reward.startswith(LEARNED):
        from_names({recipe.reward: 1.0}, style(recipe.style))  # before anything is read
    record = Run.open(out, "score", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    if recipe.reward.startswith(LEARNED):
        _learned(recipe, record, out)
        return
    sandbox.start()  # ready when the first question comes that needs it
    rejected: list[dict[str, Any]] = []
    samples = _read(recipe, rejected)
    record.set_aside(rejected)
    record.rewind({GOLDS: 0})
    failures = self_test(samples) if recipe.reward == "correct" else []
    record.append(GOLDS, failures)
    _warn(failures, out)
    scored = _score(record, recipe, samples)
    summary = summarize(scored, recipe.by) | {"gold_failures": len(failures)}
    _report(out / "report", record, scored, summary)
    record.seal(summary, [recipe.samples], {**counts(s.score for s in scored), "rejected": len(rejected)})
    agreement = summary.get("agreement")
    said = f"; agreement {agreement['value']:.4f} of {agreement['n']} recorded verdicts" if agreement else ""
    console.print(f"accuracy {accuracies(scored)['all']}{said}; {out}")


def _learned(recipe: Recipe, record: Run, out: Path) -> None:
    """Score by a reward model, write the report and seal."""
    from visreason.reward.learned import Learned
    from visreason.view.report import write_report
    from visreason.view.runs import RunView

    path = recipe.reward.removeprefix(LEARNED)
    reward = Learned(path, recipe.precision, recipe.device, recipe.max_pixels)
    first = next((row for _, row in read_rows(recipe.samples, [])), {})
    rejected: list[dict[str, Any]] = []
    summary, figures, scored = (_pairs if is_pair(first) else _samples)(recipe, record, reward, rejected, out)
    record.set_aside(rejected)
    runs = {"score": RunView("score", record.recipe, samples=scored)}
    shown = {k: v for k, v in summary.items() if not k.startswith("by_") or k == "by_source"}
    write_report(out / "report", "Scores of a reward model", runs, summary=shown, figures=figures)
    counts_of = counts(s.score for s in scored) if scored else {"pairs": summary["pairs"]}
    inputs = [recipe.samples, *model_files(model_path(path))]
    record.seal(summary, inputs, {**counts_of, "rejected": len(rejected)}, reward.policy.device.type)


def _read(recipe: Recipe, rejected: list[dict[str, Any]]) -> list[Sample]:
    samples = [s for s in read_samples(recipe.samples, rejected) if has_meta(s.problem, recipe.where)]
    if not samples:
        why = f" (line {rejected[0]['line']}: {rejected[0]['reason']})" if rejected else ""
        raise DataError(
            f"expected samples in {recipe.samples}, found none{why}; give rows with answer (or gold) and response (or "
            "pred), and see `where`"
        )
    return part(samples[: recipe.limit], recipe.shard)


def _samples(
    recipe: Recipe, record: Run, reward: Any, rejected: list[dict[str, Any]], out: Path
) -> tuple[dict[str, Any], dict[str, Path], list[Sample]]:
    """Samples with their learned scores, what choosing the best gives, and the plots."""
    from visreason.reward.scoring import length_bias, length_points, score_samples, whole_blocks
    from visreason.view import ranking as plots

    samples = _read(recipe, rejected)
    scored = record.records(SAMPLES, Sample)
    scored = scored[: whole_blocks(samples, len(scored))]
    record.keep(SAMPLES, len(scored))
    with Progress(console=console) as progress:
        task = progress.add_task("score", total=len(samples), completed=len(scored))
        for block in score_samples(reward, samples, len(scored)):
            record.append(SAMPLES, block)
            scored += block
            progress.advance(task, len(block))
    summary = summarize(scored, recipe.by) | {"length_bias": length_bias(scored)}
    figures = {"score against length": plots.lengths(length_points(scored), out / "report" / "lengths.png")}
    if chosen := choices(scored):
        summary |= {"best_of": chosen, "best_over_mean": best_over_mean(scored).as_dict()}
        figures = {"best of n": plots.best_of(chosen, out / "report" / "best_of.png"), **figures}
        most, found = list(chosen.items())[-1]
        said = "; ".join(f"{rule} {100 * found[rule]['value']:.1f} %" for rule in found)
        console.print(f"of {most} completions: {said}; {out}")
    return summary, figures, scored


def _pairs(
    recipe: Recipe, record: Run, reward: Any, rejected: list[dict[str, Any]], out: Path
) -> tuple[dict[str, Any], dict[str, Path], list[Sample]]:
    """How often the chosen side of a pair has the higher score, by source and length, and the plots."""
    from visreason.reward.scoring import rank
    from visreason.view import ranking as plots

    pairs = [
        p for p in read_pairs(recipe.samples, rejected, out / IMAGES) if has_meta(p.problem, recipe.where)
    ]
    pairs = part(pairs[: recipe.limit], recipe.shard)
    ranked = rank(reward.policy, pairs, reward.style, reward.budget)
    record.rewind({PAIR_SCORES: 0})
    record.append(PAIR_SCORES, (r.row() for r in ranked))
    summary = pair_summary(ranked)
    points = {
        "chosen": [(r.chosen, r.chosen_tokens) for r in ranked],
        "rejected": [(r.rejected, r.rejected_tokens) for r in ranked],
    }
    found = Interval(**summary["pair_accuracy"])
    console.print(f"accuracy on pairs {found}; {out}")
    if found.high < 0.5:
        console.print("[bold red]that is under chance: are the columns chosen and rejected swapped?")
    folder = out / "report"
    return (
        summary,
        {
            "calibration": plots.calibration(calibration(ranked), folder / "calibration.png"),
            "score against length": plots.lengths(points, folder / "lengths.png"),
        },
        [],
    )


def self_test(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Gold answers that can't be checked, or are wrong by their own check: {"id", "answer", "reason"}."""
    problems = {s.problem.id: s.problem for s in samples}
    return [
        {"id": p.id, "answer": p.answer, "reason": reason}
        for p in problems.values()
        if (reason := _gold_failure(p)) is not None
    ]


def _gold_failure(problem: Problem) -> str | None:
    try:
        reason = check(problem, problem.answer or "").reason
    except DataError as e:
        return str(e)
    right = check(problem, problem.answer or "").correct
    return None if right else f"expected to be right by its own check, found {reason}"


def _warn(failures: list[dict[str, Any]], out: Path) -> None:
    if failures:
        console.print(
            f"{len(failures)} gold answers can't be checked or fail against themselves ({out / GOLDS}):"
        )
        for failure in failures[:SHOWN]:
            console.print(f"  {failure['id']}: {failure['reason']}", markup=False)


def _score(record: Run, recipe: Recipe, samples: list[Sample]) -> list[Sample]:
    """Scored samples in order, block by block over the cores; those on disk are not scored again."""
    scored = record.records(SAMPLES, Sample)
    blocks = [samples[i : i + BLOCK] for i in range(len(scored) // BLOCK * BLOCK, len(samples), BLOCK)]
    scored = scored[: len(samples) - sum(map(len, blocks))]
    record.keep(SAMPLES, len(scored))
    work = partial(score_block, recipe.reward, recipe.style)
    many = recipe.reward in REWARDS and sum(map(len, blocks)) > ALONE
    done = over_cores(work, blocks, alone=not many, start=sandbox.start)
    for block in _shown(done, len(scored) // BLOCK, len(blocks)):
        record.append(SAMPLES, block)
        scored += block
    return scored


def _shown(blocks: Iterable[list[Sample]], before: int, left: int) -> Iterator[list[Sample]]:
    yield from track(blocks, "score", total=before + left, completed=before, console=console)


def score_block(reward: str, layout: str, samples: list[Sample]) -> list[Sample]:
    """Samples with their scores; one whose problem can't be checked is errored, and the others are not harmed."""
    judge = from_names({reward: 1.0}, style(layout))
    if reward == "correct":
        return [replace(s, score=_correct(s)) for s in samples]
    return [replace(s, score=score) for s, score in zip(samples, judge(samples), strict=True)]


def _correct(sample: Sample) -> Score:
    try:
        score = check(sample.problem, sample.completion.text, sample.completion.finish)
        extraction = sample.problem.meta.get("extraction")
        if score.reason != "unparsed" or extraction is None:
            return replace(score, parts={"correct": score.value})
        score = check_extraction(sample.problem, str(extraction))
        return replace(score, parts={"correct": score.value, "by_extraction": 1.0})
    except DataError:
        return Score(0.0, reason="errored")


def summarize(samples: list[Sample], by: list[str]) -> dict[str, Any]:
    """The manifest's summary of scored samples."""
    both = accuracies(samples)
    summary: dict[str, Any] = {
        "accuracy": both["all"].as_dict(),
        "accuracy_of_completed": both["completed"].as_dict() if "completed" in both else None,
        "reward": sum(s.score.value for s in samples) / len(samples),
        "by_extraction": sum("by_extraction" in s.score.parts for s in samples),
    }
    for name in by:
        groups = grouped(samples, name)
        if 1 < len(groups) <= MAX_GROUPS:
            summary[f"by_{name}"] = {v: accuracies(g)["all"].as_dict() for v, g in groups.items()}
    judged = [s for s in samples if verdict(s.problem) is not None and not set_aside(s.problem)]
    if judged:
        summary["agreement"] = agreement(judged)
    return summary


def _report(folder: Path, record: Run, samples: list[Sample], summary: dict[str, Any]) -> None:
    """The page of the run, and one of the samples where the score is not the recorded verdict."""
    # draws with matplotlib, too heavy for --help
    from visreason.view.disagreements import write_disagreements
    from visreason.view.report import write_report
    from visreason.view.runs import RunView

    view = RunView("score", record.recipe, samples=samples, manifest={"verb": "score", "summary": summary})
    shown = {name: value for name, value in summary.items() if not name.startswith("by_")}
    differ = (
        "disagreements.html lists where scores and recorded verdicts differ."
        if "agreement" in summary
        else ""
    )
    write_report(folder, "Scores", {"score": view}, differ, summary=shown)
    if differ:
        judged = [s for s in samples if verdict(s.problem) is not None and not set_aside(s.problem)]
        accepted = [s for s in judged if s.score.correct and not verdict(s.problem)]
        refused = [s for s in judged if not s.score.correct and verdict(s.problem)]
        write_disagreements(folder / "disagreements.html", accepted, refused, summary["agreement"])
