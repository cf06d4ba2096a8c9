"""The image files a problem names: found beside the data file, checked, and described by hash and size."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from visreason.answer import check
from visreason.errors import DataError
from visreason.prompt import STYLES, messages
from visreason.prompt.images import image_record, verify_pixels
from visreason.record import Image, Problem

Verify = Literal["header", "pixels"]
"""How far files are read up front: `header` (format, size, hash: 0.6 ms for a JPEG of half a megapixel) or `pixels`
(also decoded to its end, at an eighth of its size, so that a truncated one is found: 0.8 ms more)."""


class Pictures:
    """Images of one data file. Every file is read once, however many problems show it; failures are remembered too."""

    def __init__(self, folder: Path, verify: Verify) -> None:
        self.folder, self.verify = folder, verify
        self._seen: dict[str, Image | str] = {}

    def resolve(self, image: Image) -> Image:
        """The image with its path as it can be opened, hash and size. Raises DataError when it can't be used."""
        if image.path not in self._seen:
            self._seen[image.path] = self._read(image.path)
        found = self._seen[image.path]
        if isinstance(found, str):
            raise DataError(found)
        if image.sha256 not in (None, found.sha256):
            raise DataError(
                f"expected the image {found.path} with sha256 {image.sha256}, found {found.sha256}: the file "
                "was changed since the record was written; restore it, or take the hash out of the record"
            )
        return found

    def _read(self, path: str) -> Image | str:
        try:
            found = image_record(self._find(path))
            if self.verify == "pixels":
                verify_pixels(found)
        except DataError as e:
            return str(e)
        return found

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
