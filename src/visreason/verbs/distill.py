"""Distil long thoughts of a teacher into rows to learn: sample, judge, filter, rewrite as seen, choose.

A policy of one's own as the teacher makes it self-distillation; the rows then train the original base. Every completion
is kept in made.jsonl with the rule that dropped it; samples.jsonl holds what is learned.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from visreason.data import sift
from visreason.data.filters import Keep, Limits
from visreason.engine import Sampling
from visreason.factory.blocks import in_blocks
from visreason.factory.distill import Distilling, Sees, distill, samples_of
from visreason.factory.inputs import Engines, Making, decontaminating, problems_of, sifted, sifting, sources
from visreason.factory.pipeline import (
    MADE,
    Stage,
    Work,
    console,
    lengths,
    read_made,
    share,
    write_dropped,
)
from visreason.prompt import style
from visreason.recipe import Decoding
from visreason.store import SAMPLES, Run, write_records


class Recipe(Making, Decoding):
    """Who teaches, who judges, and what is kept."""

    ROLES = ("teacher", "judge", "rewriter", "base")

    teacher: str = Field(
        description="Engine that thinks: hf:PATH, vllm:PATH, a run directory, http://HOST/v1#MODEL, script:FILE.",
        examples=["runs/sft/a"],
    )
    sees: Sees = Field(
        "picture", description="What the teacher gets: the picture, or the description in its place."
    )
    judge: str | None = Field(None, description="Engine that marks answers rules can't judge (check judge).")
    rewriter: str | None = Field(
        None,
        description="Engine that rewrites thoughts from reading a description to seeing; null leaves them.",
    )
    base: str | None = Field(
        None, description="Engine whose greedy answer makes a problem too easy; null keeps all."
    )
    asked: str = Field("awaker", description="Style in which the teacher is asked.")
    style: str = Field(
        "awaker", description="Style in which rows are laid out, whatever layout the teacher writes."
    )
    n: int = Field(5, ge=1, description="Completions of each problem.")
    temperature: float = Field(1.0, ge=0, description="Of the teacher.")
    min_right: int = Field(
        1, ge=0, description="Fewest right completions of a problem (Virgo medium: 4, hard: 2)."
    )
    max_right: int | None = Field(
        None, ge=1, description="Most right ones (Virgo medium: 5, hard: 3); null: all."
    )
    keep: Keep = Field(
        "shortest", description="Which right completions stay: shortest first, most unlike, or all."
    )
    per_problem: int = Field(1, ge=1, description="Most completions kept of a problem.")
    min_words: int = Field(1, ge=0, description="Shortest thought.")
    max_words: int = Field(8000, ge=1, description="Longest thought; a Chinese character is a word.")
    language: Literal["question", "en", "zh"] | None = Field("question", description="Language of thoughts.")
    repetition: float = Field(
        0.3, ge=0, le=1, description="Largest share of six-word runs that stood there before."
    )
    traces: bool = Field(True, description="Drop thoughts with words that show a description or a rewriting.")

    def idle(self) -> dict[str, str]:
        return {**super().idle(), **({} if self.n > 1 else {"per_problem": "n above 1"}),
                **({"per_problem": "keep=shortest or varied"} if self.keep == "all" else {})}  # fmt: skip

    @model_validator(mode="after")
    def _refuse_bounds_crossed(self) -> Self:
        most = min(self.n, self.max_right or self.n)
        if self.min_right > most:
            raise ValueError(
                f"expected min_right of at most {most} (n and max_right), found {self.min_right}: no problem could pass"
            )
        if self.min_words > self.max_words:
            raise ValueError(
                f"expected min_words below max_words, found {self.min_words} above {self.max_words}"
            )
        return self


def run(recipe: Recipe, out: Path) -> None:
    """Distil, write samples.jsonl and dropped.jsonl, and seal with the funnel."""
    record = Run.open(out, "distill", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    problems, stage = problems_of(recipe, record)
    rules = [sift.unverifiable, *sifting(recipe, decontaminating(recipe))]
    problems, drops = sifted(problems, rules, stage)
    console.print(
        f"{len(problems)} problems of {stage.into}; {recipe.n} completions each from {recipe.teacher}"
    )
    in_blocks(record, recipe, problems, stage, partial(_work, recipe, out))
    made = out / MADE
    n = write_records(out / SAMPLES, (s for m in read_made(made) for s in samples_of(m)))
    write_dropped(record, drops)
    summary = {**summarize(made, stage), "troubles": record.troubles()}
    record.seal(summary, sources(recipe, out), {"samples": n})
    console.print(f"{n} samples of {stage.into} problems in {out / SAMPLES}")


def _work(recipe: Recipe, out: Path) -> Work:
    engines = Engines(recipe, out)
    how = _how(recipe, engines)
    return engines.counting(lambda block, seed: distill(block, how, seed))


def _how(recipe: Recipe, engines: Engines) -> Distilling:
    def optional(role: str, spec: str | None):
        return engines.get(role, spec) if spec else None

    return Distilling(
        engines.get("teacher", recipe.teacher), optional("judge", recipe.judge),
        optional("rewriter", recipe.rewriter), optional("base", recipe.base), recipe.sees,
        style(recipe.asked), style(recipe.style),
        Sampling(**recipe.sampling(recipe.n, recipe.max_completion_tokens)),
        Limits(recipe.min_words, recipe.max_words, recipe.language, recipe.repetition, recipe.traces),
        (recipe.min_right, recipe.max_right or recipe.n), recipe.keep,
        recipe.n if recipe.keep == "all" else recipe.per_problem,
    )  # fmt: skip


def summarize(path: Path, stage: Stage) -> dict[str, Any]:
    """The funnel of problems and of completions, how many were right, and how long what is kept is."""
    completions, right = Stage("completions", 0), Counter[int]()
    for made in read_made(path):
        tries = made.steps.get("completions", [])
        completions.into += len(tries)
        completions.drop(t["rule"] for t in tries)
        right.update([made.steps["right"]] if "right" in made.steps else [])
    kept = (s.completion.text for made in read_made(path) for s in samples_of(made))
    return {
        "funnel": [stage.row(), completions.row()],
        "shares": {
            "completions right": share(sum(n * count for n, count in right.items()), completions.into)
        },
        "problems_by_right": {str(n): right[n] for n in sorted(right)},
        "lengths": {"samples": lengths(kept)},
    }
