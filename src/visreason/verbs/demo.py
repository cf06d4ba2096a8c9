"""Train a visual reasoning model from nothing, on a laptop, and report what each stage gained.

The stages are the command lines that are printed; each can be typed alone, and a killed demo goes on where it stopped.
"""

import multiprocessing
import runpy
import shlex
import sys
import time
from pathlib import Path
from typing import Literal

from pydantic import Field

from visreason.errors import RunError
from visreason.recipe import Recipe as Base
from visreason.store import SAMPLES, Run, manifest

STYLE = "r1_onevision"
MAX_TOKENS = 96
"""Longest completion: the longest drawn thought has about 80 tokens."""
PRIMER_BATCH = 24
MODELS = ("base", "sft", "mpo", "grpo")
CHOICES = 8
"""Answers of the fine-tuned model that the reward model chooses from; of the others four are sampled."""
DECODINGS = {"sampled": ("samples=4", "temperature=1"), "greedy": ("samples=1", "temperature=0")}
PRELOAD = ["visreason.train.sft", "visreason.train.grpo", "visreason.train.setup", "visreason.engine.hf",
           "visreason.train.mpo", "visreason.train.reward_model"]  # fmt: skip
COLD_START = (
    "The tiny model starts from random weights and first learns to see, to add, and to answer questions about pictures "
    "told in words, on a primer of small lessons. Its "
    "cold start is then mixed on purpose, as the habits of base models are: of its supervised answers 40 % "
    "read the picture and work the answer out (a fifth of those without the tags), and 60 % are laid out well but "
    "guessed without looking. Reinforcement learning sees only whether an answer is right and well laid out."
)


class Recipe(Base):
    """How much of everything; the defaults take about twelve minutes on two cores."""

    out: Path | None = Field(Path("runs/demo"), description="Run directory.")

    problems: int = Field(
        14400, ge=12, description="Training problems drawn; a third are of the first level."
    )
    heldout: int = Field(
        1512, ge=12, description="Held-out problems drawn; those of the first level measure."
    )
    primer_steps: int = Field(
        600, ge=1, description="Supervised steps of 24 lessons in seeing and reckoning."
    )
    sft_steps: int = Field(420, ge=1, description="Supervised steps of 16 problems, answered in mixed ways.")
    reward_steps: int = Field(400, ge=1, description="Reward-model steps of 16 pairs.")
    rollouts: int = Field(
        480, ge=2, description="Training problems answered 8 times each, to make MPO's pairs of."
    )
    mpo_steps: int = Field(60, ge=1, description="MPO steps of 16 pairs.")
    engine: Literal["hf", "vllm"] = Field("hf", description="What samples in GRPO.")
    grpo_steps: int = Field(40, ge=1, description="GRPO steps of 24 problems with 8 completions each.")


def run(recipe: Recipe, out: Path) -> None:
    """Run the stages, write the report, and name it. The manifest's summary has accuracies, gains and format."""
    from rich.console import Console

    console = Console(stderr=True)
    record = Run.open(out, "demo", recipe.model_dump(mode="json"))
    page = out / "report" / "index.html"
    if not record.finished:
        start, resumed = time.perf_counter(), (out / "world").exists()
        _draw(recipe, out / "world")
        for words in _stages(recipe, out):
            console.print(f"\n$ visreason {shlex.join(words)}", style="bold", highlight=False, soft_wrap=True)
            _stage(words)
        seconds = None if resumed else round(time.perf_counter() - start, 1)
        summary = {**_summary(out), "seconds": seconds}
        _report(out, summary)
        record.seal(summary)
    _print(manifest(out)["summary"], console)
    console.print(f"\nopen {page}")


def _draw(recipe: Recipe, folder: Path) -> None:
    """The world's problems, the cold start's answers and the untrained model, unless they are there."""
    from visreason.prompt import style
    from visreason.world import source

    lessons = PRIMER_BATCH * recipe.primer_steps
    for spec in (f"coldstart:{recipe.problems}", f"heldout:{recipe.heldout}", f"primer:{lessons}",
                 f"train_pairs:{recipe.problems}", f"heldout_pairs:{recipe.heldout}"):  # fmt: skip
        source.data_file(f"world:{spec}:{recipe.seed}", folder.parent, style(STYLE))
    source.model_folder("world", folder.parent, style(STYLE), recipe.seed)


def _stages(recipe: Recipe, out: Path) -> list[list[str]]:
    common = [f"style={STYLE}", f"seed={recipe.seed}", "where={level: 1}"]
    primer = ["sft", f"model={out}/world/model", f"data={out}/world/primer.jsonl", "style=direct", "optimizer=muon",
              f"steps={recipe.primer_steps}", "lr=4e-3", f"seed={recipe.seed}", "save_every=100",
              f"problems_per_step={PRIMER_BATCH}", f"out={out}/primer"]  # fmt: skip
    sft = ["sft", f"model={out}/primer", f"data={out}/world/coldstart.jsonl", *common, "optimizer=muon",
           f"steps={recipe.sft_steps}", "lr=3e-3", "save_every=100", "problems_per_step=16",
           f"out={out}/sft"]  # fmt: skip
    grpo = ["grpo", f"model={out}/sft", f"data={out}/world/train.jsonl", *common, f"steps={recipe.grpo_steps}",
            "problems_per_step=24", "completions_per_problem=8", f"max_completion_tokens={MAX_TOKENS}", "lr=2e-4",
            "schedule=constant", "kl=1e-3", "save_every=10", f"engine={recipe.engine}", f"out={out}/grpo"]  # fmt: skip
    return [
        *_evaluations("base", f"{out}/world/model", out, common),
        primer,
        sft,
        *_evaluations("sft", f"{out}/sft", out, common),
        *_preferences(recipe, out, common),
        *_evaluations("mpo", f"{out}/mpo", out, common),
        grpo,
        *_evaluations("grpo", f"{out}/grpo", out, common),
    ]


def _preferences(recipe: Recipe, out: Path, common: list[str]) -> list[list[str]]:
    """A reward model; what it chooses from the fine-tuned model's answers to held-out problems; and MPO on pairs of
    that model's answers to training problems, which it ranked."""
    reward = ["reward_model", f"model={out}/sft", f"data={out}/world/train_pairs.jsonl", *common,
              f"heldout={out}/world/heldout_pairs.jsonl", "optimizer=muon", f"steps={recipe.reward_steps}", "lr=2e-3",
              "along=1", "problems_per_step=16", "heldout_every=40", "heldout_limit=128", "save_every=80",
              f"out={out}/reward_model"]  # fmt: skip
    learned = [f"reward=learned:{out}/reward_model", f"seed={recipe.seed}"]
    rollouts = ["evaluate", f"model={out}/sft", f"data={out}/world/train.jsonl", *common, f"limit={recipe.rollouts}",
                f"samples={CHOICES}", "temperature=1", f"max_completion_tokens={MAX_TOKENS}",
                f"out={out}/rollouts"]  # fmt: skip
    mpo = ["mpo", f"model={out}/sft", f"data={out}/pairs/pairs.jsonl", *common, "optimizer=muon",
           f"steps={recipe.mpo_steps}", "lr=1e-3", "problems_per_step=16", f"limit={16 * recipe.mpo_steps}",
           "save_every=20", f"out={out}/mpo"]  # fmt: skip
    return [
        reward,
        ["score", f"samples={out}/evaluate/sft-sampled/samples.jsonl", *learned, f"out={out}/score/heldout"],
        rollouts,
        ["score", f"samples={out}/rollouts/samples.jsonl", *learned, f"out={out}/score/rollouts"],
        ["curate", f"data={out}/score/rollouts/samples.jsonl", "by=learned", "near=null", "match_length=false",
         "per_problem=3", f"seed={recipe.seed}", f"out={out}/pairs"],
        mpo,
    ]  # fmt: skip


def _evaluations(name: str, model: str, out: Path, common: list[str]) -> list[list[str]]:
    samples = {"sampled": (f"samples={CHOICES}", "temperature=1")} if name == "sft" else {}
    return [
        ["evaluate", f"model={model}", f"data={out}/world/heldout.jsonl", *common, *words,
         f"max_completion_tokens={MAX_TOKENS}", f"out={out}/evaluate/{name}-{decoding}"]
        for decoding, words in (DECODINGS | samples).items()
    ]  # fmt: skip


def _stage(words: list[str]) -> None:
    """A command in a process of its own, forked from one that has torch loaded already: its memory ends with it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=_command, args=(words,))
    process.start()
    process.join()
    if process.exitcode and process.exitcode < 0:
        raise RunError(
            f"visreason {words[0]} was killed by signal {-process.exitcode} (9 is often memory); give the same command "
            "again to go on"
        )
    if process.exitcode:
        raise SystemExit(process.exitcode)


def _command(words: list[str]) -> None:
    sys.argv = ["visreason", *words]
    runpy.run_module("visreason", run_name="__main__")


def _summary(out: Path) -> dict:
    """Accuracy of each model and what GRPO gained over SFT, problem by problem, sampled and greedy."""
    views = {(m, d): manifest(out / "evaluate" / f"{m}-{d}")["summary"] for m in MODELS for d in DECODINGS}
    sampled = {m: views[m, "sampled"]["accuracy"] for m in MODELS}
    greedy = {m: views[m, "greedy"]["accuracy"] for m in MODELS}
    reward, chosen = manifest(out / "reward_model")["summary"], manifest(out / "score" / "heldout")["summary"]
    return {
        "accuracy": sampled,
        "greedy": greedy,
        "reward_model": {name: reward[name] for name in ("pair_accuracy", "pair_accuracy_of_equal_length")},
        "best_of": chosen["best_of"][str(CHOICES)],
        "gain": {
            "best_of_8_over_mean": chosen["best_over_mean"],
            "mpo_over_sft": _gain(out, "mpo", "sampled"),
            "mpo_over_sft_greedy": _gain(out, "mpo", "greedy"),
            "grpo_over_sft": _gain(out, "grpo", "sampled"),
            "grpo_over_sft_greedy": _gain(out, "grpo", "greedy"),
        },
        "format": {m: views[m, "sampled"]["format"] for m in MODELS},
    }


def _gain(out: Path, after: str, decoding: str) -> dict[str, float]:
    from visreason.record import Sample
    from visreason.stats import by_problem, paired
    from visreason.store import read_records

    means = []
    for model in (after, "sft"):
        groups = by_problem(read_records(out / "evaluate" / f"{model}-{decoding}" / SAMPLES, Sample))
        means.append([sum(s.score.correct for s in g) / len(g) for _, g in sorted(groups.items())])
    return paired(*means).as_dict()


def _report(out: Path, summary: dict) -> None:
    from visreason.view.report import write_report
    from visreason.view.runs import load_run

    folders = {f"{stage} training": out / stage for stage in ("primer", "sft", "reward_model", "mpo", "grpo")}
    folders |= {name: out / "evaluate" / f"{name}-sampled" for name in MODELS}
    runs = {label: load_run(folder, label) for label, folder in folders.items()}
    plots = {"best of 8": "best_of", "score against length": "lengths"}
    figures = {name: out / "score" / "heldout" / "report" / f"{file}.png" for name, file in plots.items()}
    write_report(out / "report", "visreason demo", runs, intro=COLD_START, summary=summary, figures=figures)


def _print(summary: dict, console) -> None:
    from rich.table import Table

    from visreason.stats import Interval
    from visreason.view.numbers import percent

    table = Table("", "accuracy, 4 samples at temperature 1", "greedy", "format", title="held-out problems")
    for model in MODELS:
        shown = [
            percent(Interval(**summary["accuracy"][model])),
            percent(Interval(**summary["greedy"][model])),
        ]
        table.add_row(model, *shown, f"{summary['format'][model]:.3f}")
    console.print(table)
    pairs, best = summary["reward_model"]["pair_accuracy"], summary["best_of"]
    console.print(
        f"reward model: {percent(Interval(**pairs))} of held-out pairs; of 8 answers of sft it takes a right one for "
        f"{percent(Interval(**best['best']))}, majority vote {percent(Interval(**best['majority']))}, one is right for "
        f"{percent(Interval(**best['oracle']))}"
    )
    gains = {"MPO": "mpo_over_sft", "GRPO": "grpo_over_sft"}
    said = (
        f"{name} over SFT, paired: {percent(Interval(**summary['gain'][k]))}" for name, k in gains.items()
    )
    seconds = summary["seconds"]
    console.print(f"{'; '.join(said)}; {f'{seconds:.0f} s' if seconds else 'resumed, not timed'}")
