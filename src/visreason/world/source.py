"""The world as a source: `world:SPLIT:N[:SEED]` names drawn problems where data is asked for, `world` a tiny model."""

from collections import Counter
from glob import glob, has_magic
from pathlib import Path

from visreason.errors import DataError, UsageError
from visreason.prompt import Style, messages
from visreason.record import Problem
from visreason.store import model_path
from visreason.world import coldstart, describing, preferences, primer, problems, vlm

SPLITS = ("train", "heldout", "coldstart", "train_pairs", "heldout_pairs", "primer", "describe")
VOCABULARY_PROBLEMS = 3000
"""Drawn problems whose text teaches the tokenizer."""


def data_files(specs: str | list[str], folder: Path, style: Style) -> list[Path]:
    """The files that data specs name, in order: a file, a pattern of several (`shards/*.parquet`) by their names, or
    `world:...` as `data_file` draws it. Raises DataError for a pattern without files, and for a file named twice."""
    found: list[Path] = []
    for spec in [specs] if isinstance(specs, str) else specs:
        found += _matching(spec) if has_magic(spec) else [data_file(spec, folder, style)]
    twice = [path for path, n in Counter(found).items() if n > 1]
    if twice or not found:
        what = f"{twice[0]} several times" if twice else "none"
        raise DataError(f"expected data files, each once, found {what}; correct data")
    return found


def _matching(pattern: str) -> list[Path]:
    """The files of a pattern; a file whose name reads like one stands for itself."""
    if Path(pattern).exists():
        return [Path(pattern)]
    if found := sorted(glob(pattern, recursive=True)):
        return [Path(path) for path in found]
    raise DataError(f"expected data files at {pattern}, found none; correct the pattern")


def data_file(spec: str, folder: Path, style: Style) -> Path:
    """The file a data spec names; `world:...` is drawn into folder/world first, unless it is there already.

    Splits: train, heldout, coldstart (train problems answered in several ways), train_pairs and heldout_pairs (a better
    and a worse answer to each), primer (lessons in seeing), and describe (lessons in describing).
    """
    if not spec.startswith("world:"):
        return Path(spec)
    split, n, seed = _parse(spec)
    target = folder / "world"
    drawn = "train" if split == "coldstart" else split.removesuffix("_pairs")
    path = target / f"{split}.jsonl"
    if path.exists():
        return path
    if split == "primer":
        return primer.write(target, n, style, seed)
    if split == "describe":
        return describing.write(target, n, seed)
    drawn_file = target / f"{drawn}.jsonl"
    if drawn == split or not drawn_file.exists():
        drawn_file = problems.write(target, drawn, n, seed)
    if split == "coldstart":
        return coldstart.write(drawn_file, style, seed)
    return preferences.write(drawn_file, style, seed) if split.endswith("_pairs") else drawn_file


def model_folder(spec: str, folder: Path, style: Style, seed: int) -> str:
    """The directory a model spec names; `world` builds the tiny model in folder/world/model, unless it is there."""
    if spec != "world":
        return model_path(spec)
    target = folder / "world" / "model"
    if not (target / "processor_config.json").exists():
        vlm.build(target, _texts(style), seed)
    return str(target)


def _texts(style: Style) -> list[str]:
    """What the tiny model will read and write: prompts of the style, and completions in it."""
    texts = []
    for i in range(VOCABULARY_PROBLEMS):
        draft = problems.draft("train", i)
        asked = messages(Problem(str(i), draft.question, choices=draft.choices), style)
        texts += [part["text"] for m in asked for part in m["content"] if part["type"] == "text"]
        texts.append(style.target(draft.thought, draft.answer))
        texts.append(f"{draft.thought} The answer is {draft.answer}. {coldstart.HASTY_THOUGHT}")
    return texts


def _parse(spec: str) -> tuple[str, int, int]:
    _, split, *numbers = spec.split(":")
    if split not in SPLITS or len(numbers) not in (1, 2) or not all(n.isdigit() for n in numbers):
        raise UsageError(f"expected world:{'|'.join(SPLITS)}:N[:SEED], found {spec!r}")
    return split, int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else 0
