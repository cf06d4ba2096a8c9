"""A benchmark's problems from the files its authors publish, with what can't be used kept aside."""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from visreason.bench.files import find, rows
from visreason.bench.kind import Bench, Row
from visreason.data.pictures import Pictures
from visreason.errors import DataError, UsageError
from visreason.prompt.images import verify_pixels
from visreason.record import Image, Problem

ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
MIN_BASE64 = 64
"""Shorter texts in an image column are paths or the index of another row."""


@dataclass(frozen=True)
class Source:
    """Where problems came from: files, split, and a hash over what they say (not over how they are stored)."""

    split: str
    files: tuple[Path, ...]
    problems: list[Problem] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """A hash of ids, questions, answers, choices and picture hashes, in order of the ids."""
        lines = (
            repr((p.id, p.question, p.answer, p.choices, [i.sha256 or Path(i.path).name for i in p.images]))
            for p in sorted(self.problems, key=lambda p: p.id)
        )
        return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()


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
        pictures = Pictures(file.parent, "pixels")
        for row in rows(file):
            try:
                problem = bench.problem(store.row(row))
                if problem is None:
                    continue
                if problem.id in seen:
                    raise DataError(f"expected ids that differ, found {problem.id!r} a second time")
                resolve = pictures.resolve if images else lambda image, f=file: _beside(f, image)
                problem = replace(problem, images=tuple(map(resolve, problem.images)))
            except DataError as e:
                source.rejected.append({"line": row.line, "reason": str(e), "row": _short(row.value)})
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
    fitting = [name for name, size in bench.sizes.items() if size == n]
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


def _short(value: Any) -> Any:
    """A rejected row without pictures."""
    if not isinstance(value, dict):
        return str(value)[:200]
    return {k: v if len(str(v)) < 2_000 else f"{str(v)[:80]}..." for k, v in value.items()}


class Embedded:
    """Pictures that stand inside a table (bytes, or base64), written once each as files named by their hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_index: dict[str, str] = {}

    def row(self, row: Row) -> Row:
        """The row with paths in place of its pictures. Raises DataError for what is no picture."""
        if not isinstance(row.value, dict):
            return row
        found = {k: v for k, v in row.value.items() if k.startswith("image") and _embedded(v)}
        value = {**row.value, **{k: self._path(v, row.where) for k, v in found.items()}}
        index, image = str(row.value.get("index", "")), row.value.get("image")
        if "image" in found and isinstance(value["image"], str):
            self._by_index[index] = value["image"]
        elif isinstance(image, str) and image in self._by_index and "index" in row.value:
            value["image"] = self._by_index[image]  # VLMEvalKit writes a picture once and then its row
        return replace(row, value=value)

    def _path(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._path(v, where) for v in value]
        return str(self._write(_bytes(value, where), where))

    def _write(self, data: bytes, where: str) -> Path:
        ending = next((e for mark, e in ENDINGS.items() if data.startswith(mark)), None)
        if ending is None:
            raise DataError(f"{where}: expected a picture in base64, found {data[:24]!r}; correct the row")
        path = self.folder.absolute() / f"{hashlib.sha256(data).hexdigest()[:32]}{ending}"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_name(path.name + ".tmp")
            scratch.write_bytes(data)
            verify_pixels(Image(str(scratch)))
            os.replace(scratch, path)
        return path


def _embedded(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_embedded(v) for v in value)
    if isinstance(value, dict):
        return "bytes" in value
    if isinstance(value, str) and value.startswith("["):
        return False
    long = isinstance(value, str) and len(value) >= MIN_BASE64 and "." not in value[-6:]
    return isinstance(value, bytes) or long


def _bytes(value: Any, where: str) -> bytes:
    if isinstance(value, dict):
        value = value["bytes"]
    if isinstance(value, bytes):
        return value
    text = str(value).partition("base64,")[2] or str(value)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise DataError(f"{where}: expected a picture in base64, found {text[:24]!r} ({e})") from e
