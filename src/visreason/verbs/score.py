"""Score responses that are on file with a reward; where rows carry recorded verdicts, show the agreement with them.

With reward=learned:PATH a reward model scores samples, and says what choosing the best of them gives; or pairs, and
says how often the chosen side has the higher score.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console
from rich.progress import track

from visreason.answer import golds, sandbox
from visreason.data import has_meta, part, read_samples
from visreason.data.files import read_rows
from visreason.data.pairs import is_pair, read_pairs
from visreason.errors import DataError, UsageError
from visreason.prompt import style
from visreason.recipe import SHARD, Shard
from visreason.recipe import Recipe as Base
from visreason.record import Problem, Sample
from visreason.reward import from_names
from visreason.reward.agreement import summarize
from visreason.reward.on_file import score_on_file
from visreason.reward.ranking import best_over_mean, calibration, choices, pair_summary
from visreason.stats import Interval, accuracies, counts
from visreason.store import IMAGES, Run, model_files, model_path

GOLDS = "golds.jsonl"
SHOWN = 5
GROUPS = ("kind", "family", "category", "subject", "level")
"""Fields of meta that divide a summary where rows have them."""
LEARNED = "learned:"


class Recipe(Base):
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
        [*GROUPS],
        description="Fields of meta by which the summary divides the samples.",
    )
    where: dict[str, str | int] = Field(
        {}, description="Score only problems whose meta has these values, as {level: 1}."
    )
    limit: int | None = Field(None, ge=1, description="Score only the first samples.")
    shard: Shard | None = Field(None, description=SHARD)
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Numbers the reward model computes with."
    )
    max_pixels: int | None = Field(
        None, ge=784, description="Largest image area the reward model sees, in pixels."
    )
    max_prompt_tokens: int = Field(
        8192, ge=16, description="Longest prompt the reward model reads; longer ones are errored."
    )
    device: str = Field("auto", description="cpu, cuda, or auto: where the reward model runs.")

    def idle(self) -> dict[str, str]:
        names = (
            ()
            if self.reward.startswith(LEARNED)
            else ("precision", "max_pixels", "max_prompt_tokens", "device")
        )
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
    from visreason.view.disagreements import write_scores  # draws with matplotlib, too heavy for --help

    sandbox.start()  # ready when the first question comes that needs it
    rejected: list[dict[str, Any]] = []
    samples = _read(recipe, rejected)
    _set_aside(record, rejected)
    record.rewind({GOLDS: 0})
    failures = (
        golds.failures(_checked({s.problem.id: s.problem for s in samples}))
        if recipe.reward == "correct"
        else []
    )
    record.append(GOLDS, failures)
    _warn(failures, out)
    scored = score_on_file(record, recipe.reward, recipe.style, samples, console)
    summary = summarize(scored, recipe.by) | {"gold_failures": len(failures)}
    write_scores(out / "report", record.recipe, scored, summary)
    record.seal(summary, [recipe.samples], {**counts(s.score for s in scored), "rejected": len(rejected)})
    _say(recipe, summary, scored, out)


def _say(recipe: Recipe, summary: dict[str, Any], scored: list[Sample], out: Path) -> None:
    if unread := summary.get("unread_verdicts"):
        console.print(
            f"{unread} recorded verdict{'s are' if unread > 1 else ' is'} neither true nor false, and not compared"
        )
    if overrun := summary.get("overrun"):
        console.print(f"{overrun} responses would take too long to compare, and are errored")
    agreement = summary.get("agreement")
    said = f"; agreement {agreement['value']:.4f} of {agreement['n']} recorded verdicts" if agreement else ""
    reward = "" if recipe.reward == "correct" else f"mean reward {summary['reward']:.4g}; "
    found = accuracies(scored)
    whole = (
        f", of completed answers {found['completed']}"
        if found.get("completed") not in (None, found["all"])
        else ""
    )
    console.print(f"{reward}accuracy {found['all']}{whole}{said}; {out}")


def _set_aside(record: Run, rejected: list[dict[str, Any]]) -> None:
    if said := record.set_aside(rejected):
        console.print(said, markup=False)


def _learned(recipe: Recipe, record: Run, out: Path) -> None:
    """Score by a reward model, write the report and seal."""
    from visreason.reward.learned import Learned
    from visreason.view.report import write_report
    from visreason.view.runs import RunView

    path = recipe.reward.removeprefix(LEARNED)
    budget = {"max_pixels": recipe.max_pixels, "max_prompt_tokens": recipe.max_prompt_tokens}
    reward = Learned(path, recipe.precision, recipe.device, **budget)
    first = next((row for _, row in read_rows(recipe.samples, [])), {})
    rejected: list[dict[str, Any]] = []
    summary, figures, scored = (_pairs if is_pair(first) else _samples)(recipe, record, reward, rejected, out)
    _set_aside(record, rejected)
    runs = {"score": RunView("score", record.recipe, samples=scored)}
    shown = {k: v for k, v in summary.items() if not k.startswith("by_") or k == "by_source"}
    write_report(out / "report", "Scores of a reward model", runs, summary=shown, figures=figures)
    counts_of = counts(s.score for s in scored) if scored else {"pairs": summary["pairs"]}
    inputs = [recipe.samples, *model_files(model_path(path))]
    record.seal(summary, inputs, {**counts_of, "rejected": len(rejected)}, reward.policy.device.type)


def _read(recipe: Recipe, rejected: list[dict[str, Any]]) -> list[Sample]:
    found = (s for s in read_samples(recipe.samples, rejected) if has_meta(s.problem, recipe.where))
    samples = list(islice(found, recipe.limit))
    if not samples:
        why = f" ({rejected[0]['reason']})" if rejected else ""
        raise DataError(
            f"expected samples in {recipe.samples}, found none{why}; give rows with answer (or gold) and response (or "
            "pred), and see `where`"
        )
    fields = {field for s in samples for field in s.problem.meta}
    if strange := [name for name in recipe.by if name not in fields and name not in GROUPS]:
        raise UsageError(
            f"expected fields of meta in by, found {', '.join(strange)}; these rows have "
            f"{', '.join(sorted(fields)) or 'none'}"
        )
    return part(samples, recipe.shard)


def _samples(
    recipe: Recipe, record: Run, reward: Any, rejected: list[dict[str, Any]], out: Path
) -> tuple[dict[str, Any], dict[str, Path], list[Sample]]:
    """Samples with their learned scores, what choosing the best gives, and the plots."""
    from visreason.reward.scoring import length_bias, length_points, score_groups
    from visreason.view import ranking as plots

    scored = score_groups(record, reward, _read(recipe, rejected), console)
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
    from visreason.reward.scoring import rank_on_file
    from visreason.view import ranking as plots

    found = (
        p for p in read_pairs(recipe.samples, rejected, out / IMAGES) if has_meta(p.problem, recipe.where)
    )
    pairs = part(list(islice(found, recipe.limit)), recipe.shard)
    ranked = rank_on_file(record, reward, pairs, rejected, console)
    summary = pair_summary(ranked)
    points = {
        "chosen": [(r.chosen, r.chosen_tokens) for r in ranked],
        "rejected": [(r.rejected, r.rejected_tokens) for r in ranked],
    }
    accuracy = Interval(**summary["pair_accuracy"])
    console.print(f"accuracy on pairs {accuracy}; {out}")
    if accuracy.high < 0.5:
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


def _warn(failures: list[dict[str, Any]], out: Path) -> None:
    if failures:
        console.print(
            f"{len(failures)} gold answers can't be checked or fail against themselves ({out / GOLDS}):"
        )
        for failure in failures[:SHOWN]:
            console.print(f"  {failure['id']}: {failure['reason']}", markup=False)


def _checked(problems: dict[str, Problem]) -> Iterable[Problem]:
    return track(problems.values(), "gold answers", len(problems), console=console, transient=True)
