"""The command line: `visreason VERB [RECIPE.yaml] [field=value ...]`.

Exit status 0 done, 1 the run failed, 2 the words are wrong, 130 interrupted. A verb is a module of `visreason/verbs`
with a `Recipe` and `run(recipe, out)`; it is imported only when it is named, so that help needs no torch.
"""

import errno
import importlib
import inspect
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import visreason
from visreason.errors import UsageError, VisreasonError
from visreason.names import unknown

VERBS = {
    "demo": "Train a visual reasoning model from nothing and report what each stage gained.",
    "sft": "Fine-tune a model on worked solutions.",
    "grpo": "Train a model by reinforcement learning with rewards (GRPO).",
    "reward_model": "Train a reward model on pairs of a better and a worse completion.",
    "mpo": "Train a model on pairs by mixed preference optimisation (MPO, or DPO alone).",
    "curate": "Make pairs of scored samples, and clean them stage by stage.",
    "evaluate": "Let an engine answer problems and score the answers.",
    "score": "Score responses on file; show the agreement with recorded verdicts.",
    "ask": "Put one question about an image to an engine; show its thought and its answer.",
    "serve": "Serve a model to OpenAI's clients.",
    "formalize": "Describe pictures in formal language, by their kind, every part parsed.",
    "synthesize": "Make questions with checked answers and thoughts from pictures.",
    "distill": "Distil long thoughts of a teacher into rows to learn, every drop counted.",
    "convert": "Rewrite a data file in another format, exactly; pictures named by content.",
    "merge": "Put the shards of a run or a checkpoint together, or adapters and their base.",
    "report": "Write an HTML page about one or several runs.",
}
TRAINING = ("sft", "grpo", "reward_model", "mpo")
SHOWN = (*TRAINING, "evaluate", "formalize", "synthesize", "distill")
"""Verbs whose runs end with a page about them."""
EXTRAS = {
    "train": ("torch", "torchvision", "transformers", "peft", "accelerate", "safetensors"),
    "vllm": ("vllm",),
    "serve": ("fastapi", "uvicorn"),
    "data": ("rapidocr", "onnxruntime"),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
}
"""What `pip install 'visreason[EXTRA]'` brings."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: the process's own words). Returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        _obey([w for w in words if w != "--debug"])
    except (Exception, KeyboardInterrupt) as e:
        if debug:
            traceback.print_exc()
        status, message = _verdict(e)
        print(f"visreason: {message}", file=sys.stderr)
        return status
    return 0


def _obey(words: list[str]) -> None:
    if not words or words[0] in ("--help", "-h", "help"):
        _list_verbs()
    elif words[0] in ("--version", "-V"):
        print(f"visreason {visreason.__version__}")
    else:
        _obey_verb(words[0], words[1:])


def _obey_verb(name: str, words: list[str]) -> None:
    from visreason.recipe import (
        default_out,
        describe,
        fill,
    )  # pydantic takes half a second, too long for --help

    module = _verb(name)
    if "--help" in words or "-h" in words:
        _show_verb(name, module, describe(module.Recipe))
    else:
        recipe = fill(module.Recipe, words, name)
        out = default_out(name, recipe)
        module.run(recipe, out)
        if name in SHOWN:
            _show_run(name, out)


def _show_run(verb: str, out: Path) -> None:
    """Write the page of a run that has ended, unless it has one, and name it."""
    from visreason.store import MANIFEST
    from visreason.view.report import PAGE, write_report
    from visreason.view.runs import load_run

    if verb in TRAINING:
        from visreason.train.sharding import leads

        if not leads():
            return
    folder = out / "report"
    if (out / MANIFEST).exists() and not (folder / PAGE).exists():
        print(write_report(folder, verb, {out.name: load_run(out, out.name)}), file=sys.stderr)


def _verdict(error: Exception | KeyboardInterrupt) -> tuple[int, str]:
    """The exit status and the paragraph that an error ends in."""
    if isinstance(error, UsageError):
        return 2, str(error)
    if isinstance(error, VisreasonError):
        return 1, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted; the same command resumes."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return (
            1,
            f"the disk is full{where}. What was written before is kept; make room and give the same command again.",
        )
    if isinstance(error, ModuleNotFoundError) and (found := _missing(error)):
        return 1, found
    return 1, f"unexpected {type(error).__name__}: {error}. Give --debug for the traceback."


def _missing(error: ModuleNotFoundError) -> str | None:
    """What to install for a library of an extra that is not here; None for any other module."""
    library = (error.name or "").partition(".")[0]
    extra = next((extra for extra, names in EXTRAS.items() if library in names), None)
    install = f"`pip install 'visreason[{extra}]'`"
    return (
        f"expected {library}, which this command needs, found none installed; {install} brings it."
        if extra
        else None
    )


def _verb(name: str) -> ModuleType:
    if name not in VERBS:
        raise unknown("verb", name, VERBS)
    return importlib.import_module(f"visreason.verbs.{name}")


def _list_verbs() -> None:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name, sentence in VERBS.items():
        table.add_row(Text(name, style="bold"), Text(sentence))
    console = Console()
    console.print(Text("visreason VERB [RECIPE.yaml] [field=value ...]\n"))
    console.print(table)
    console.print(
        Text("\nvisreason VERB --help shows a verb's fields. Also: --version, --debug (show tracebacks).")
    )


def _show_verb(name: str, module: ModuleType, fields: list[tuple[str, str, str, str]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("field", "type", "default", "what it does"):
        table.add_column(title, overflow="fold", header_style="bold")
    for field, kind, default, sentence in fields:
        table.add_row(Text(field, style="bold"), Text(kind), Text(default), Text(sentence))
    console = Console()
    console.print(Text(f"{inspect.getdoc(module) or VERBS[name]}\n"))
    console.print(table)
    console.print(Text(f"\nExample: {_example(name, module.Recipe)}"), soft_wrap=True)


def _example(verb: str, recipe: Any) -> str:
    """A command that gives the fields that are needed, and those whose definition carries an example."""
    words = [f"visreason {verb}"]
    for name, field in recipe.model_fields.items():
        if field.examples:
            words.append(f"{name}={field.examples[0]}")
        elif field.is_required():
            words.append(f"{name}={name.upper()}")
    return " ".join(words)
