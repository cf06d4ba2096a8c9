"""Score responses that are on file with a reward; where rows carry recorded verdicts, show the agreement with them."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console
from rich.progress import track

from visreason import recipe
from visreason.answer import check, sandbox
from visreason.answer.recorded import check_extraction
from visreason.data import has_meta, part, read_samples
from visreason.errors import DataError
from visreason.prompt import style
from visreason.record import Problem, Sample, Score
from visreason.reward import REWARDS, from_names
from visreason.stats import accuracies, counts, wilson
from visreason.store import SAMPLES, Run

GOLDS = "golds.jsonl"
BLOCK, ALONE = 256, 1_000
"""Samples a process scores at a time, and how many are too few to start processes for."""
SHOWN = 5
MAX_GROUPS = 200


class Recipe(recipe.Recipe):
    """What is scored, and by which reward."""

    samples: Path = Field(
        description="Responses: a .jsonl or .json file of samples, or of rows with answer and response.",
        examples=["answers.jsonl"],
    )
    reward: str = Field("correct", description="A reward's name, or module:function.")
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


console = Console(stderr=True)


def run(recipe: Recipe, out: Path) -> None:
    """Score and seal. The manifest's summary has accuracies with intervals, and `agreement` with recorded verdicts.

    A response that states no answer is judged by the row's `extraction`, where it has one; `agreement` without those is
    kept beside it.
    """
    from_names(
        {recipe.reward: 1.0}, style(recipe.style)
    )  # a name that is wrong is found before anything is read
    record = Run.open(out, "score", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    sandbox.start()  # ready when the first question comes that needs it
    rejected: list[dict[str, Any]] = []
    samples = [s for s in read_samples(recipe.samples, rejected) if has_meta(s.problem, recipe.where)]
    samples = part(samples[: recipe.limit], recipe.shard)
    if not samples:
        why = f" (line {rejected[0]['line']}: {rejected[0]['reason']})" if rejected else ""
        raise DataError(
            f"expected samples in {recipe.samples}, found none{why}; give rows with answer (or gold) and response (or "
            "pred), and see `where`"
        )
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
    with _pool() if many else nullcontext() as pool:
        done = pool.map(work, blocks) if isinstance(pool, Executor) else map(work, blocks)
        for block in _shown(done, len(scored) // BLOCK, len(blocks)):
            record.append(SAMPLES, block)
            scored += block
    return scored


def _pool() -> ProcessPoolExecutor:
    """One process a core; started afresh, since a fork of a process with threads may hang."""
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=sandbox.start)


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
        groups = _groups(samples, name)
        if 1 < len(groups) <= MAX_GROUPS:
            summary[f"by_{name}"] = {v: accuracies(g)["all"].as_dict() for v, g in groups.items()}
    judged = [s for s in samples if verdict(s.problem) is not None and not _set_aside(s.problem)]
    if judged:
        summary["agreement"] = agreement(judged)
    return summary


def agreement(judged: list[Sample]) -> dict[str, Any]:
    """How often the scores are those recorded, and how they differ: of all, of each kind, and of responses alone."""
    alone = [s for s in judged if "by_extraction" not in s.score.parts]
    refused = [s for s in judged if "by_extraction" in s.score.parts]
    return {
        **_agreement(judged),
        "by_kind": {kind: _agreement(group) for kind, group in _groups(judged, "kind").items()},
        "responses_alone": _agreement(
            [*alone, *(replace(s, score=Score(0.0, reason="unparsed")) for s in refused)]
        ),
    }


def _agreement(judged: list[Sample]) -> dict[str, Any]:
    pairs = [(s.score.correct, verdict(s.problem)) for s in judged]
    interval = wilson(sum(ours == theirs for ours, theirs in pairs), len(pairs))
    return {
        **interval.as_dict(),
        "negatives": sum(not theirs for _, theirs in pairs),
        "wrong_accepts": sum(ours and not theirs for ours, theirs in pairs),
        "wrong_rejects": sum(bool(theirs) and not ours for ours, theirs in pairs),
    }


def verdict(problem: Problem) -> bool | None:
    """The verdict that a row carries in `expected` or `judged`, None where it has none."""
    for name in ("expected", "judged"):
        found = problem.meta.get(name)
        if isinstance(found, (bool, int, float)):
            return bool(found)
        if isinstance(found, str) and found.lower() in ("true", "false"):
            return found.lower() == "true"
    return None


def _set_aside(problem: Problem) -> bool:
    """Whether a recorded verdict holds for one convention only, or is doubted by those who recorded it."""
    return bool(problem.meta.get("convention") or problem.meta.get("suspect"))


def _groups(samples: list[Sample], name: str) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if name in sample.problem.meta:
            groups.setdefault(str(sample.problem.meta[name]), []).append(sample)
    return dict(sorted(groups.items()))


def _report(folder: Path, record: Run, samples: list[Sample], summary: dict[str, Any]) -> None:
    """The page of the run, and one of the samples where the score is not the recorded verdict."""
    from visreason.view.disagreements import (
        write_disagreements,
    )  # draws with matplotlib, too heavy for --help
    from visreason.view.report import write_report
    from visreason.view.runs import RunView

    view = RunView("score", record.recipe, samples=samples, manifest={"verb": "score", "summary": summary})
    shown = {name: value for name, value in summary.items() if not name.startswith("by_")}
    intro = (
        "disagreements.html lists where scores and recorded verdicts differ."
        if "agreement" in summary
        else ""
    )
    write_report(folder, "Scores", {"score": view}, intro, summary=shown)
    if "agreement" in summary:
        judged = [s for s in samples if verdict(s.problem) is not None and not _set_aside(s.problem)]
        accepted = [s for s in judged if s.score.correct and not verdict(s.problem)]
        refused = [s for s in judged if not s.score.correct and verdict(s.problem)]
        write_disagreements(folder / "disagreements.html", accepted, refused, summary["agreement"])
