"""Pictures gathered from data files: each copied once into a folder, named by the hash of its content."""

import ast
import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import shutil
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from visreason.errors import DataError
from visreason.prompt.images import image_record
from visreason.record import Image

COLUMNS = ("images", "image", "image_path")
NAME_CHARS = 24
BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")
KINDS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
REMEMBERED = 65_536
"""Pictures whose hash is remembered; others are read again when they come again, which changes nothing."""


class Album:
    """The folder `images` of an output, filled with pictures that rows of `source` name by path or hold themselves."""

    def __init__(self, out: Path, source: Path) -> None:
        self.out, self.source = out, source
        self.folder = out / "images"
        self.take = lru_cache(REMEMBERED)(self._take)
        self.record = lru_cache(REMEMBERED)(self._record)
        self._by_index: dict[str, str] = {}

    @cached_property
    def written(self) -> "Album":
        """The same folder for rows that were written beside it."""
        return Album(self.out, self.out)

    def absorb(self, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The row with its pictures as paths in the folder, to be read; and as it can be written again: paths are the
        new ones there, pictures in the row stay. Raises DataError for a picture that is missing or broken."""
        found, again = dict(row), dict(row)
        for column in COLUMNS:
            value = row.get(column)
            if value in (None, "", []):
                continue
            if isinstance(value, str) and value.startswith("["):
                value = _list(value)
            values = value if isinstance(value, list) else [value]
            held = [self._held(row, v) for v in values]
            paths = [
                self._keep(h) if h is not None else self.take(_path(v))
                for h, v in zip(held, values, strict=True)
            ]
            found[column] = paths if isinstance(value, list) else paths[0]
            if all(h is None or isinstance(v, dict) for h, v in zip(held, values, strict=True)):
                named = [self.named(p) for p in paths]
                again[column] = named if isinstance(value, list) else named[0]
            elif "index" in row and not isinstance(value, list):
                self._by_index[str(row["index"])] = paths[0]
        return found, again

    def remember(self, row: dict[str, Any]) -> None:
        """Know the picture of a row that is not read again, for later rows that name it by its index."""
        if "index" in row:
            with contextlib.suppress(DataError):
                self.absorb(row)

    def named(self, path: str) -> str:
        """A picture's path as rows of the output name it."""
        return os.path.relpath(path, self.out)

    def encode(self, image: Image) -> str:
        """The file's bytes as base64. Raises DataError when it can't be read."""
        try:
            return base64.b64encode(Path(image.path).read_bytes()).decode()
        except OSError as e:
            raise DataError(f"expected an image at {image.path}, found none ({e})") from e

    def _held(self, row: dict[str, Any], value: Any) -> bytes | None:
        """The bytes of a picture that the row itself, or an earlier one, holds; None for a path."""
        if (
            isinstance(value, str)
            and len(value) <= 64
            and "index" in row
            and (path := self._by_index.get(value))
        ):
            return Path(path).read_bytes()  # VLMEvalKit: the picture of an earlier row
        return held(value)

    def _keep(self, content: bytes) -> str:
        kind = next((s for mark, s in KINDS.items() if content.startswith(mark)), ".img")
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:NAME_CHARS]}{kind}"
        if not path.exists():
            self._publish(path, lambda scratch: scratch.write_bytes(content))
        self.record(str(path))
        return str(path)

    def _take(self, name: str) -> str:
        beside, above = self.source / name, self.source.parent / name
        found = image_record(above if not beside.is_file() and above.is_file() else beside)
        kind = Path(name).suffix.lower() or ".img"
        path = self.folder / f"{(found.sha256 or '')[:NAME_CHARS]}{kind}"
        if not path.exists():
            self._publish(path, lambda scratch: shutil.copyfile(found.path, scratch))
        return str(path)

    def _publish(self, path: Path, write: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(path.name + ".tmp")
        write(scratch)
        os.replace(scratch, path)

    def _record(self, path: str) -> Image:
        return image_record(path)


def held(value: Any) -> bytes | None:
    """The bytes of a picture that a row itself holds, as bytes or base64; None for a path."""
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return value["bytes"]
    if not isinstance(value, str):
        return None
    text = value.partition(",")[2] if value.startswith("data:image") else value
    try:
        return base64.b64decode(text, validate=False) if BASE64.fullmatch(text) else None
    except binascii.Error:
        return None


def _list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text


def _path(value: Any) -> str:
    if isinstance(value, dict):  # our own image record, or a Hugging Face one
        value = value.get("path")
    if not isinstance(value, str):
        raise DataError(f"expected an image as a path or as base64, found {str(value)[:80]!r}")
    return value
