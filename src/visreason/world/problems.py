"""Problems of the world by number: any index of either split, the same text and pixels on every machine.

Families, levels and forms take turns, so every prefix is balanced. A hash of description and question decides
the split, so a picture with its question can never stand on both sides, whatever the seeds.
"""

import hashlib
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from PIL import Image as Picture
from rich.console import Console
from rich.progress import track

from visreason.errors import DataError, UsageError
from visreason.record import Check, Image, Problem, Sample
from visreason.store import write_records
from visreason.world import bars, counting, geometry, tables
from visreason.world.draft import AnswerType, Draft, Forms

FAMILIES: dict[str, Forms] = {
    "bars": bars.FORMS,
    "geometry": geometry.FORMS,
    "counting": counting.FORMS,
    "tables": tables.FORMS,
}
LEVELS = (1, 2, 3)
TURN = len(FAMILIES) * len(LEVELS)
"""Indices after which families and levels begin again; after a ROUND every form has had equal turns."""
ROUND = TURN * math.lcm(*(len(forms[level]) for forms in FAMILIES.values() for level in LEVELS))
SPLITS = ("train", "heldout")
HELDOUT_ONE_IN = 8
CHECKS: dict[AnswerType, Check] = {"number": "math", "word": "exact", "choice": "choice"}
ATTEMPTS = 100


def draw(split: str, index: int, seed: int = 0) -> tuple[Problem, Picture.Image]:
    """Problem number `index` of a split and its picture (112 x 112 RGB); `images` is filled by `write`.

    Raises UsageError for another split than "train" and "heldout".
    """
    family, level, form = place(index)
    found = draft(split, index, seed)
    picture = Picture.fromarray(found.scene.paint())
    return _problem(found, picture, family, level, form), picture


def draft(split: str, index: int, seed: int = 0) -> Draft:
    """What `draw` paints: a problem of the index's family, level and form on the split's side of the hash."""
    if split not in SPLITS:
        raise UsageError(f"expected split {' or '.join(SPLITS)}, found {split!r}; give one of the two")
    family, level, form = place(index)
    rng = Random(f"visreason world {split} {seed} {index}")
    while True:
        found = FAMILIES[family][level][form](rng, level)
        if _side(found) == split:
            return found


def place(index: int) -> tuple[str, int, str]:
    """Family, level and form of an index: families turn fastest, forms slowest.

    >>> place(0), place(1), place(12)
    (('bars', 1, 'value'), ('geometry', 1, 'side_sum'), ('bars', 1, 'highest'))
    """
    family = tuple(FAMILIES)[index % len(FAMILIES)]
    level = LEVELS[index // len(FAMILIES) % len(LEVELS)]
    forms = tuple(FAMILIES[family][level])
    return family, level, forms[index // TURN % len(forms)]


def write(folder: Path, split: str, n: int, seed: int = 0) -> Path:
    """Write n different problems to folder/{split}.jsonl, pictures to folder/images; returns the file's path.

    Raises DataError when the world has too few different problems.
    """
    return write_drawn(folder, split, distinct(split, n, seed), n)


def write_drawn(
    folder: Path, name: str, drawn: Iterable[tuple[Problem | Sample, Picture.Image | None]], n: int
) -> Path:
    """Write n problems or samples with their pictures, as `write` does, to folder/{name}.jsonl."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    drawn = track(drawn, f"drawing {name}", n, console=Console(stderr=True), transient=True)
    write_records(path, (_with_image(record, picture, folder) for record, picture in drawn))
    return path


def distinct(split: str, n: int, seed: int = 0) -> Iterator[tuple[Problem, Picture.Image]]:
    """The first n problems of a split; one drawn before gives way to a later one of its family and level."""
    seen: set[str] = set()
    # Past all n, and one form further on, since small forms run out first.
    later = -(-n // ROUND) * ROUND + TURN
    for index in range(n):
        attempts = (draw(split, index + attempt * later, seed) for attempt in range(ATTEMPTS))
        fresh = next((found for found in attempts if found[0].id not in seen), None)
        if fresh is None:
            raise DataError(
                f"expected {n} different {split} problems, found {len(seen)} and no new one of "
                f"{place(index)[:2]} in {ATTEMPTS} attempts; ask for fewer"
            )
        seen.add(fresh[0].id)
        yield fresh


def _side(draft: Draft) -> str:
    heldout = _digest(draft.scene.description, draft.question)[0] % HELDOUT_ONE_IN == 0
    return "heldout" if heldout else "train"


def _problem(draft: Draft, picture: Picture.Image, family: str, level: int, form: str) -> Problem:
    content = (draft.scene.description, draft.question, *draft.choices, picture.tobytes())
    return Problem(
        id=f"{family}-{_digest(*content).hex()[:16]}",
        question=draft.question,
        answer=draft.answer,
        choices=draft.choices,
        check=CHECKS[draft.answer_type],
        description=draft.scene.description,
        thought=draft.thought,
        meta={
            "source": "world",
            "family": family,
            "form": form,
            "level": level,
            "answer_type": draft.answer_type,
            "guess": draft.guess,
        },
    )


def _digest(*parts: str | bytes) -> bytes:
    return hashlib.sha256(b"\0".join(p.encode() if isinstance(p, str) else p for p in parts)).digest()


def _with_image(record: Problem | Sample, picture: Picture.Image | None, folder: Path) -> Problem | Sample:
    if picture is None:
        return record
    data = io.BytesIO()
    picture.save(data, "PNG")
    digest = hashlib.sha256(data.getvalue()).hexdigest()
    path = folder / "images" / f"{digest[:16]}.png"
    path.write_bytes(data.getvalue())
    images = (Image(str(path), digest, picture.size),)
    if isinstance(record, Sample):
        return replace(record, problem=replace(record.problem, images=images))
    return replace(record, images=images)
