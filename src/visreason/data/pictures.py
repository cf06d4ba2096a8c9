"""The image files a problem names: found beside the data file, checked, and described by hash and size."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self, TextIO, TypeVar

from visreason.answer import check
from visreason.errors import DataError
from visreason.prompt import STYLES, messages
from visreason.prompt.images import image_record, verify_pixels
from visreason.record import Image, Problem, from_json, to_json

Verify = Literal["header", "pixels"]
"""How far files are read up front: `header` (format, size, hash: 0.6 ms for a JPEG of half a megapixel) or `pixels`
(also decoded to its end, at an eighth of its size, so that a truncated one is found: 0.8 ms more)."""


AHEAD = 256
"""Pictures that are read while rows before theirs are still worked on."""
T = TypeVar("T")


class Seen:
    """Pictures that were read to their end, in a file that a run keeps until it is finished: what goes on, or stands
    beside, does not read them again while their bytes and time of change stay. Without a file nothing is known.

    A line that a kill cut short says nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self.file, self._lock, self._out = file, Lock(), ExitStack()
        self._lines: TextIO | None = None
        self._known: dict[str, tuple[list[int], Image]] = {}
        for line in file.read_text().splitlines() if file and file.exists() else ():
            with suppress(ValueError, KeyError, DataError):
                row = json.loads(line)
                self._known[row["of"]] = row["stat"], from_json(Image, row["image"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def picture(self, path: Path) -> Image:
        """The description of a whole picture, from the file or now. Raises DataError for one that can't be used."""
        name, stat = os.path.abspath(path), _stat(path)
        known, image = self._known.get(name, (None, None))
        if image and known == stat:
            return replace(image, path=str(path))
        found = image_record(path)
        verify_pixels(found)
        if self.file:
            self._keep(self.file, {"of": name, "stat": stat, "image": to_json(found)})
        return found

    def _keep(self, file: Path, row: dict[str, Any]) -> None:
        with self._lock:
            if self._lines is None:
                self._lines = self._out.enter_context(file.open("a", buffering=1))
                self._lines.write("\n")  # behind a line that was cut short
            self._lines.write(json.dumps(row) + "\n")


def _stat(path: Path) -> list[int]:
    """What is another where a file was changed."""
    try:
        found = path.stat()
    except OSError:  # its reader says so
        return []
    return [found.st_size, found.st_mtime_ns]


class Pictures:
    """Images of one data file, read by several threads (Pillow decodes without Python's lock). Every file is read once,
    however many problems show it; failures are remembered too."""

    def __init__(self, folder: Path, verify: Verify, seen: Seen) -> None:
        self.folder, self.verify, self.seen = folder, verify, seen
        self._pool = ThreadPoolExecutor()
        self._found: dict[str, Future[Image]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ahead(self, items: Iterable[T], images: Callable[[T], Iterable[Image]]) -> Iterator[T]:
        """The items in order, while the pictures of those that follow are read."""
        waiting, begun = deque[tuple[T, int]](), 0
        for item in items:
            shown = [self._begun(image.path) for image in images(item)]
            waiting.append((item, len(shown)))
            begun += len(shown)
            while begun > AHEAD:
                item, n = waiting.popleft()
                begun -= n
                yield item
        yield from (item for item, _ in waiting)

    def resolve(self, image: Image) -> Image:
        """The image with its path as it can be opened, hash and size. Raises DataError when it can't be used."""
        found = self._begun(image.path).result()
        if image.sha256 not in (None, found.sha256):
            raise DataError(
                f"expected the image {found.path} with sha256 {image.sha256}, found {found.sha256}: the file "
                "was changed since the record was written; restore it, or take the hash out of the record"
            )
        return found

    def _begun(self, path: str) -> Future[Image]:
        if path not in self._found:
            self._found[path] = self._pool.submit(self._read, path)
        return self._found[path]

    def _read(self, path: str) -> Image:
        found = self._find(path)
        return self.seen.picture(found) if self.verify == "pixels" else image_record(found)

    def _find(self, path: str) -> Path:
        """Beside the data file, or one folder up: data sets keep their images next to a folder of JSONL files."""
        beside, above = self.folder / path, self.folder.parent / path
        return above if not beside.is_file() and above.is_file() else beside


def usable(problem: Problem, pictures: Pictures, need_answer: bool = False) -> Problem:
    """The problem with its images described. Raises DataError when it can't be asked, and with `need_answer` when its
    answer can't be given."""
    if not problem.question.strip():
        raise DataError("expected a question, found an empty one")
    problem = replace(problem, images=tuple(pictures.resolve(i) for i in problem.images))
    messages(problem, STYLES["direct"])
    if need_answer and not check(problem, problem.answer or "").correct:
        raise DataError(
            f"expected an answer that is right by its own check, found {problem.answer!r}; rewrite it"
        )
    return problem
