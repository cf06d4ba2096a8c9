"""A benchmark's problems from the files its authors publish, with what can't be used kept aside."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from visreason.bench.files import find, rows
from visreason.bench.kind import Bench, taken
from visreason.data.embedded import Embedded
from visreason.data.pictures import Pictures, Seen
from visreason.errors import DataError, UsageError
from visreason.prompt import STYLES, messages
from visreason.record import Image, Problem


@dataclass(frozen=True)
class Source:
    """Where problems came from: files, split, and hashes over what they say and show (not over how they are stored)."""

    split: str
    files: tuple[Path, ...]
    problems: list[Problem] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def short_of(self, bench: Bench) -> int:
        """How many problems of the split are not there, as far as its size is known."""
        return max(bench.sizes[self.split] - len(self.problems), 0)

    @property
    def sha256(self) -> str:
        """A hash of ids, questions, answers and choices, in order of the ids."""
        return _hash(repr((p.id, p.question, p.answer, p.choices)) for p in self.problems)

    @property
    def pictures_sha256(self) -> str:
        """A hash of ids and the pictures' hashes."""
        return _hash(repr((p.id, [i.sha256 for i in p.images])) for p in self.problems)


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "replace")).hexdigest()


def choose_split(bench: Bench, name: str | None) -> str:
    """The split asked for, or the benchmark's first. Raises UsageError with those there are."""
    if name is None:
        return next(iter(bench.sizes))
    if name not in bench.sizes:
        raise UsageError(f"{bench.name} has no split {name!r}; its splits are {', '.join(bench.sizes)}")
    return name


def read_problems(bench: Bench, path: Path, split: str | None, kept: Path, images: bool = True) -> Source:
    """The problems of a file or folder; pictures inside tables are written to `kept`.

    With `images` every picture is opened, and a problem whose picture is missing or broken is rejected. A row without
    its columns, or with an id seen before, is rejected too; {"line", "reason", "row"} says where and why.
    """
    name = choose_split(bench, split)
    files = find(path, bench.files.get(name, ()), f"{bench.title}, split {name}")
    source = Source(name, tuple(files))
    seen: set[str] = set()
    store = Embedded(kept)
    for file in files:
        with Pictures(file.parent, "pixels", Seen(None)) as pictures:
            resolve = pictures.resolve if images else partial(_beside, file)
            for row in rows(file):
                try:
                    if isinstance(row.value, dict):
                        row = replace(row, value=store.unpacked(row.value))
                    problem = taken(bench.problem, row)
                    if problem is None:
                        continue
                    if problem.id in seen:
                        raise DataError(f"expected ids that differ, found {problem.id!r} a second time")
                    problem = replace(problem, images=tuple(map(resolve, problem.images)))
                    if images:
                        messages(problem, STYLES["direct"])  # refuses what can't be put to a model
                except DataError as e:
                    source.rejected.append({"line": row.line, "reason": str(e), "row": short(row.value)})
                    continue
                seen.add(problem.id)
                source.problems.append(problem)
    if not source.problems:
        why = source.rejected[0]["reason"] if source.rejected else "no rows"
        raise DataError(f"expected problems of {bench.title} in {path}, found {why}")
    return replace(source, split=_checked_split(bench, source, split))


def _checked_split(bench: Bench, source: Source, asked: str | None) -> str:
    """The split by the number of rows, where that tells it. Raises DataError when another was asked for."""
    n = len(source.problems) + len(source.rejected)
    file = source.files[0].name.removesuffix(".gz")
    fitting = [name for name, size in bench.sizes.items() if size == n]
    named = [s for s in fitting if any(fnmatch(file, p.rpartition("/")[2]) for p in bench.files[s])]
    fitting = named or fitting
    if not fitting or source.split in fitting:
        return source.split
    if asked is None:
        return fitting[0]
    raise DataError(
        f"expected the {bench.sizes[asked]} problems of split {asked} in {source.files[0]}, found {n}, which are those "
        f"of {fitting[0]}; give split={fitting[0]}, or the other file"
    )


def _beside(file: Path, image: Image) -> Image:
    """The image's path as it can be opened, beside the file or a folder up; it need not be there."""
    above = file.parent.parent / image.path
    return replace(image, path=str(above if above.is_file() else file.parent / image.path))


def short(value: Any) -> Any:
    """A rejected row without pictures."""
    if not isinstance(value, dict):
        return str(value)[:200]
    return {k: v if len(str(v)) < 2_000 else f"{str(v)[:80]}..." for k, v in value.items()}
