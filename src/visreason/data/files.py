"""Rows of a file, streamed: JSON lines or a JSON list, plain or gzipped, parquet, and tables with tabs between columns.

What a row means is not decided here.
"""

import codecs
import csv
import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from visreason.errors import DataError

SUFFIXES = (".jsonl", ".json", ".parquet", ".tsv")
BATCH = 256
"""Parquet rows in memory at a time: a picture as base64 may have megabytes."""
CHUNK = 1 << 20
NOT_READ = (OSError, EOFError, zlib.error)


Paths = Path | str | Sequence[Path]
"""The file of a data set, or its files in order."""


class Sink(Protocol):
    """What takes rejected rows, a list or a file: {"line", "reason", "row"}."""

    def append(self, row: dict[str, Any], /) -> None: ...


def each(paths: Paths, rejected: list[dict[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Every file, with what its rows are called where they have no ids. Where there are several, the rows that are
    rejected while one is read name it. They are in the order of its lines."""
    files = _listed(paths)
    names = Counter(file.name.partition(".")[0] for file in files)
    for number, file in enumerate(files, 1):
        name, before = file.name.partition(".")[0], len(rejected)
        yield file, name if names[name] == 1 else f"{name}.{number}"
        own = sorted(rejected[before:], key=lambda row: row["line"])
        rejected[before:] = [{"file": str(file), **row} for row in own] if len(files) > 1 else own


def _listed(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else list(paths)


def shown(paths: Paths) -> str:
    """A data set in an error: its file, or the first of them.

    >>> shown(Path("a.jsonl")), shown([Path("a.jsonl"), Path("b.jsonl"), Path("c.jsonl")])
    ('a.jsonl', 'a.jsonl and 2 more')
    """
    files = _listed(paths)
    return f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}"


def read_rows(path: Path, rejected: Sink) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of every row: lines of .jsonl, elements of a .json list (either may end in .gz), rows of
    .parquet and of .tsv, whose first line names the columns.

    What is not an object goes to `rejected`. Raises DataError for a file that can't be read at all, and for one that
    breaks off. Memory is bounded by the longest row.
    """
    name = path.name.removesuffix(".gz")
    if not path.is_file():
        found = "it is a directory" if path.is_dir() else "there is none"
        raise DataError(
            f"expected a data file at {path}, found none that can be read ({found}); check the path"
        )
    if not name.endswith(SUFFIXES):
        raise DataError(
            f"expected a .jsonl, .json, .parquet or .tsv file (.gz for the first two), found {path}; rename it"
        )
    if name.endswith(".parquet"):
        yield from enumerate(_parquet(path), 1)
    elif name.endswith(".tsv"):
        yield from _table(path, rejected)
    else:
        listed = name.endswith(".json") and not _is_lines(path)
        with _opened(path) as file:
            values = enumerate(_elements(path, file), 1) if listed else _lines(file, rejected)
            yield from _objects(values, rejected)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked, behind a byte order mark."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            yield file  # type: ignore[misc]
    except NOT_READ as e:
        raise DataError(
            f"expected a data file at {path}, found none that can be read ({e}); check the path"
        ) from e


def _is_lines(path: Path) -> bool:
    """Whether a .json file holds an object a line: its first line is a whole object, and there is a second."""
    with _opened(path) as file:
        first = next((line for line in file if line.strip()), b"")
        return first.lstrip()[:1] == b"{" and _loads(first) is not None and any(line.strip() for line in file)


def _loads(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _elements(path: Path, file: IO[bytes]) -> Iterator[Any]:
    """The elements of a JSON list, each decoded as soon as it is whole; a single object is a list of one."""
    text = Text(file)
    try:
        begin = text.peek()
        if begin == "{":
            yield text.value()
        elif begin == "[":
            text.take()
            while text.peek() != "]":
                yield text.value()
                if text.peek() == ",":
                    text.take()
                elif text.peek() != "]":
                    raise ValueError(f"a comma is missing before {text.peek()!r}")
            text.take()
        else:
            raise ValueError(f"it begins with {begin!r}")
        if text.peek():
            raise ValueError(f"text follows the end: {text.peek()!r}")
    except (ValueError, RecursionError) as e:
        raise DataError(
            f"expected a JSON list in {path}, found text that is not JSON ({e}); correct it"
        ) from e


class Text:
    """JSON text that is read as far as it is needed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.buffer, self.at = file, "", 0
        self.decoder, self.utf8 = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")()

    def more(self) -> bool:
        data = self.file.read(max(CHUNK, len(self.buffer) - self.at))
        self.buffer = self.buffer[self.at :] + self.utf8.decode(data, final=not data)
        self.at = 0
        return bool(data)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self.at < len(self.buffer) and self.buffer[self.at].isspace():
                self.at += 1
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more():
                return ""

    def take(self) -> None:
        self.at += 1

    def value(self) -> Any:
        """The value that begins here. A number at the buffer's end could go on, so one more character is wanted."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.at)
            except ValueError:
                if not self.more():
                    raise
                continue
            if end < len(self.buffer):
                self.at = end
                return value
            if not self.more():
                self.at = len(self.buffer)
                return value


def _lines(file: IO[bytes], rejected: Sink) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:
            shown = line[:200].decode("utf-8", "replace")
            rejected.append(
                {"line": number, "reason": f"expected JSON, found text that is none ({e})", "row": shown}
            )
            continue
        yield number, value


def _objects(values: Iterable[tuple[int, Any]], rejected: Sink) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in values:
        if isinstance(value, dict):
            yield number, value
        else:
            reason = f"expected a JSON object, found {type(value).__name__}"
            rejected.append({"line": number, "reason": reason, "row": value})


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa  # a third of a second, for files that few have
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield from ({name: _plain(v) for name, v in row.items()} for row in batch.to_pylist())
    except (OSError, pa.ArrowException) as e:
        raise DataError(f"expected a parquet file at {path}, found none that can be read ({e})") from e


def _plain(value: Any) -> Any:
    """A value of parquet as JSON has it; bytes stay, since they may be a picture."""
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bytes | None) else str(value)


def _table(path: Path, rejected: Sink) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by the columns of the first line, every value a text; a row with other columns is rejected."""
    csv.field_size_limit(sys.maxsize)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t")
            columns = next(reader, [])
            for number, values in enumerate(reader, 1):
                if len(values) == len(columns):
                    yield number, dict(zip(columns, values, strict=True))
                else:
                    reason = f"expected {len(columns)} columns, found {len(values)}"
                    rejected.append({"line": number, "reason": reason, "row": "\t".join(values)[:200]})
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"expected a table at {path}, found none that can be read ({e})") from e
