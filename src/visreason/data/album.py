"""Pictures gathered from data files: each copied once into a folder, named by the hash of its content."""

import base64
import contextlib
import os
import shutil
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from visreason.data.embedded import Embedded, cells, keep
from visreason.errors import DataError
from visreason.prompt.images import ending, image_record
from visreason.record import Image

COLUMNS = ("images", "image", "image_path")
REMEMBERED = 65_536
"""Pictures whose hash is remembered; others are read again when they come again, which changes nothing."""


class Album:
    """The folder `images` of an output, filled with pictures that rows of `source` name by path or hold themselves."""

    def __init__(self, out: Path, source: Path) -> None:
        self.out, self.source = out, source
        self.folder = out / "images"
        self.take = lru_cache(REMEMBERED)(self._take)
        self.record = lru_cache(REMEMBERED)(image_record)
        self._embedded = Embedded(self.folder)

    @cached_property
    def written(self) -> "Album":
        """The same folder for rows that were written beside it."""
        return Album(self.out, self.out)

    def absorb(self, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The row with its pictures as paths in the folder, to be read; and as it can be written again: paths are the
        new ones there, pictures in the row stay. Raises DataError for a picture that is missing or broken."""
        found, again = dict(row), dict(row)
        for column in COLUMNS:
            values = cells(row.get(column))
            if not values:
                continue
            held = [self._embedded.path(row, v) for v in values]
            paths = [h or self.take(_path(v)) for h, v in zip(held, values, strict=True)]
            several = len(values) > 1 or values[0] is not row[column]
            for path in paths:
                self.record(path)
            found[column] = paths if several else paths[0]
            if all(h is None or isinstance(v, dict) for h, v in zip(held, values, strict=True)):
                named = [self.named(p) for p in paths]
                again[column] = named if several else named[0]
        return found, again

    def remember(self, row: dict[str, Any]) -> None:
        """Know the picture of a row that is not read again, for later rows that name it by its index."""
        if "index" in row:
            with contextlib.suppress(DataError):
                self.absorb(row)

    def own(self, image: Image) -> Image:
        """A picture of the folder, named as rows of the output name it. Raises DataError for any other file, which a
        row must not have read."""
        path = Path(os.path.abspath(self.out / image.path))
        if path.parent != Path(os.path.abspath(self.folder)) or not path.is_file():
            raise DataError(f"expected a picture of {self.folder}, found {image.path!r}; correct the row")
        return replace(image, path=str(self.out / image.path))

    def named(self, path: str) -> str:
        """A picture's path as rows of the output name it."""
        return os.path.relpath(path, self.out)

    def encode(self, image: Image) -> str:
        """The file's bytes as base64. Raises DataError when it can't be read."""
        try:
            return base64.b64encode(Path(image.path).read_bytes()).decode()
        except OSError as e:
            raise DataError(f"expected an image at {image.path}, found none ({e})") from e

    def _take(self, name: str) -> str:
        beside, above = self.source / name, self.source.parent / name
        found = image_record(above if not beside.is_file() and above.is_file() else beside)
        kind = ending(Path(found.path).read_bytes()) or ".img"
        return str(keep(self.folder, found.sha256 or "", kind, lambda p: shutil.copyfile(found.path, p)))


def _path(value: Any) -> str:
    if isinstance(value, dict):  # our own image record, or a Hugging Face one
        value = value.get("path")
    if not isinstance(value, str):
        raise DataError(f"expected an image as a path or as base64, found {str(value)[:80]!r}")
    return value
