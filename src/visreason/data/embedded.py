"""Pictures that rows hold themselves, as bytes or base64: each written once, named by the hash of its content."""

import ast
import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visreason.errors import DataError
from visreason.prompt.images import ending

NAME_CHARS = 24
PICTURES = re.compile(r"images?|image_\d+|image_path")
MIN_BASE64 = 64
"""Shorter texts are paths, or the index of another row."""


class Embedded:
    """The pictures of one table, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._of_row: dict[str, str] = {}

    def unpacked(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with paths in its columns image, images, image_1, ...; `decoded_image` of Hugging Face's copies comes
        before `image`. Raises DataError like `path`."""
        found = dict(row)
        if decoded := found.pop("decoded_image", None):
            found["image"] = decoded
        for name in [n for n in found if PICTURES.fullmatch(n)]:
            held = [self.path(row, cell) or _named(cell) for cell in cells(found[name])]
            paths = [path for path in held if path is not None]
            found[name] = paths[0] if len(paths) == 1 else paths
        return found

    def path(self, row: dict[str, Any], value: Any) -> str | None:
        """The file of a picture that `value`, from a cell of `row`, holds; None for a path. VLMEvalKit writes a picture
        once and then the index of its row. Raises DataError for what is neither."""
        if isinstance(value, str) and len(value) < MIN_BASE64:
            return self._of_row.get(value) if "index" in row else None
        content = held(value)
        if content is None:
            return None
        if (kind := ending(content)) is None:
            raise DataError(
                f"expected a picture in base64 or as bytes, found {content[:24]!r}; correct the row"
            )
        found = str(
            keep(self.folder, hashlib.sha256(content).hexdigest(), kind, lambda p: p.write_bytes(content))
        )
        if "index" in row:
            self._of_row.setdefault(str(row["index"]), found)
        return found


def keep(folder: Path, sha256: str, kind: str, write: Callable[[Path], Any]) -> Path:
    """The file of that hash in the folder, written by `write` unless it is there, whole or not at all."""
    path = folder.absolute() / f"{sha256[:NAME_CHARS]}{kind}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.tmp")
        write(scratch)
        os.replace(scratch, path)
    return path


def cells(value: Any) -> list[Any]:
    """The pictures of a cell: those of a list, also of one written as text, or the cell itself.

    >>> cells("['a.png', 'b.png']"), cells("a.png"), cells(None)
    (['a.png', 'b.png'], ['a.png'], [])
    """
    if isinstance(value, str) and value.startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    if isinstance(value, list):
        return value
    return [] if value in (None, "") else [value]


def _named(cell: Any) -> Any:
    """The path of a cell that is an object without bytes."""
    return cell.get("path") if isinstance(cell, dict) else cell


def held(value: Any) -> bytes | None:
    """A picture's bytes as they are, in an object of Hugging Face, or in base64; None for a path and an empty cell."""
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or len(value) < MIN_BASE64 or "." in value[-6:]:
        return None
    if " " in value or "://" in value:
        return None
    text = value.partition(",")[2] if value.startswith("data:image") else value
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as e:
        raise DataError(f"expected a picture in base64, found {text[:24]!r} ({e}); correct the row") from e
