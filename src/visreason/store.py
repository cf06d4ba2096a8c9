"""Files: JSONL of records, and run directories that are sealed by a manifest written last.

A run directory is resumed by the command that made it and refused to any other. Appended files can be cut back to a
remembered length, so that a resumed run ends with the same records as one that was never killed.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import platform
import subprocess
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from visreason.errors import DataError, RunError
from visreason.record import Image, Pair, Problem, R, Record, Sample, from_json, to_json

MANIFEST, RECIPE, LOCK, IMAGES = "manifest.json", "recipe.json", ".lock", "images"
METRICS, SAMPLES, REJECTED = "metrics.jsonl", "samples.jsonl", "rejected.jsonl"
JUDGED, SCORED = "judge.jsonl", "surrogate.jsonl"
"""What a judge and a surrogate reward model said of every pair that reached them."""


def read_rows(path: Path, growing: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line of a JSONL file. Raises DataError for a line that is not an object.

    In a `growing` file a last line without its newline is still being written, and left out.
    """
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or (growing and not line.endswith(b"\n")):
                continue
            try:
                row = json.loads(line)
            except ValueError as e:  # not JSON, or not UTF-8
                raise DataError(
                    f"{path} line {number}: expected a JSON object, found {line[:80]!r} ({e})"
                ) from e
            if not isinstance(row, dict):
                raise DataError(f"{path} line {number}: expected a JSON object, found {line[:80]!r}")
            yield number, row


def read_records(path: Path, kind: type[R], growing: bool = False) -> Iterator[R]:
    """The records of a JSONL file; image paths come back relative to the working directory."""
    for number, row in read_rows(path, growing):
        try:
            yield _relocate(from_json(kind, row), lambda p: str(path.parent / p))
        except DataError as e:
            raise DataError(f"{path} line {number}: {e}") from e


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write a JSONL file through a temporary name; returns how many. Images under its folder get relative paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    n = 0
    with open(scratch, "w", encoding="utf-8") as out:
        for n, record in enumerate(records, 1):  # noqa: B007
            out.write(_line(record_row(record, path.parent)))
    os.replace(scratch, path)
    return n


def record_row(record: Record, folder: Path) -> dict[str, Any]:
    """A record's JSON as it is stored in `folder`: image paths relative to it where they lie inside, else absolute."""

    def stored(path: str) -> str:
        full = Path(os.path.abspath(path))
        root = Path(os.path.abspath(folder))
        return str(full.relative_to(root)) if full.is_relative_to(root) else str(full)

    return to_json(_relocate(record, stored))


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary name, so that a reader sees the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Run:
    """A run directory while it is written.

    `Run.open` creates it, or resumes it when it was left unfinished by the same recipe. `finished` is true when the
    manifest is already there: nothing is left to do. Raises RunError when the directory belongs to another recipe, or
    when another process is writing to it.
    """

    def __init__(self, path: Path, verb: str, recipe: dict[str, Any], finished: bool, lock: int) -> None:
        self.path, self.verb, self.recipe, self.finished = path, verb, recipe, finished
        self._unlock = weakref.finalize(self, os.close, lock)
        self.started = time.time()

    @classmethod
    def open(cls, path: Path, verb: str, recipe: dict[str, Any]) -> "Run":
        settings = {"verb": verb, **{k: v for k, v in recipe.items() if k != "out"}}
        settings = json.loads(json.dumps(settings, default=str))
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _locked(path)  # before it is asked whether another process has just finished
            run = cls(path, verb, settings, (path / MANIFEST).exists(), lock)
            run._claim()
        except OSError as e:
            raise RunError(
                f"can't write a run to {path}: {e.strerror or e}; give another directory with out=..."
            ) from e
        return run

    def _claim(self) -> None:
        """Write the recipe where nothing was done yet (but pictures unpacked), whatever recipe was there.

        Raises RunError for another run.
        """
        others = [
            p for p in self.path.iterdir() if p.suffix != ".tmp" and p.name not in (RECIPE, LOCK, IMAGES)
        ]
        if not others:
            write_json(self.path / RECIPE, self.recipe)
        elif (self.path / RECIPE).exists():
            self._refuse_other(self.path, self.recipe)
        else:
            raise RunError(
                f"{self.path} is not empty and holds no run (no {RECIPE}); give another directory with out=..."
            )

    @staticmethod
    def _refuse_other(path: Path, settings: dict[str, Any]) -> None:
        found = read_json(path / RECIPE)
        if found == settings:
            return
        changed = sorted(k for k in found.keys() | settings.keys() if found.get(k) != settings.get(k))
        raise RunError(
            f"{path} holds a run of another recipe; it differs in "
            + ", ".join(f"{k} ({found.get(k)!r} there, {settings.get(k)!r} here)" for k in changed)
            + ". Give another directory with out=..., or delete that one."
        )

    def append(self, name: str, rows: Iterable[Record | dict[str, Any]]) -> None:
        """Append rows to a JSONL file of the run and flush them to the disk."""
        text = "".join(_line(r if isinstance(r, dict) else record_row(r, self.path)) for r in rows)
        if not text:
            return
        before = self.cursor(name)
        try:
            with open(self.path / name, "a", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
        except OSError as e:
            with contextlib.suppress(OSError):
                self.rewind(before)  # no half line stays behind
            raise RunError(
                f"can't write {self.path / name}: {e.strerror or e}. Earlier records are kept; make room and give the "
                "same command again to go on."
            ) from e

    def cursor(self, *names: str) -> dict[str, int]:
        """Bytes in each appended file now; `rewind` cuts them back to this."""
        return {n: (self.path / n).stat().st_size if (self.path / n).exists() else 0 for n in names}

    def rewind(self, cursor: dict[str, int]) -> None:
        """Cut appended files back to a cursor: what a killed run wrote after its last checkpoint is written again.

        Raises RunError when a file is shorter than it was: records were lost, and the run can't end as it should.
        """
        for name, found in self.cursor(*cursor).items():
            if found < cursor[name]:
                raise RunError(
                    f"expected at least {cursor[name]} bytes in {self.path / name}, found {found}: records were lost; "
                    "start again in another directory (out=...)"
                )
            if cursor[name] == 0:
                (self.path / name).unlink(missing_ok=True)
            elif found > cursor[name]:
                os.truncate(self.path / name, cursor[name])

    def records(self, name: str, kind: type[R]) -> list[R]:
        """The whole records of an appended file; a last line cut short by a kill is removed from the file first."""
        path = self._whole(name)
        return list(read_records(path, kind)) if path.exists() else []

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The whole rows of an appended file, likewise."""
        path = self._whole(name)
        return [row for _, row in read_rows(path)] if path.exists() else []

    def _whole(self, name: str) -> Path:
        path = self.path / name
        text = path.read_bytes() if path.exists() else b""
        if text and not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)
        return path

    def keep(self, name: str, lines: int) -> None:
        """Cut an appended file back to its first lines."""
        path = self.path / name
        if path.exists():
            with open(path, "rb+") as file:
                file.truncate(sum(map(len, islice(file, lines))))

    def set_aside(self, rejected: list[dict[str, Any]]) -> str:
        """Write the rows that were not used, with line and reason; those of an earlier session are the same.

        Returns what to say of them: how many, where they are, the most frequent reason; empty where there are none.
        """
        self.rewind({REJECTED: 0})
        self.append(REJECTED, rejected)
        if not rejected:
            return ""
        [(reason, n)] = Counter(row["reason"] for row in rejected).most_common(1)
        line = next(row["line"] for row in rejected if row["reason"] == reason)
        kept = f"{len(rejected)} rows set aside, kept with their reasons in {self.path / REJECTED}"
        return f"{kept}; {n} of them{f', line {line} first' if line else ''}: {reason}"

    def seal(
        self,
        summary: dict[str, Any],
        inputs: Iterable[Path] = (),
        counts: dict[str, int] | None = None,
        device: str = "cpu",
    ) -> dict[str, Any]:
        """Write the manifest, last and by rename. Returns it. Its seconds are those of the session that finished."""
        own = (self.path / MANIFEST, self.path / RECIPE, self.path / LOCK)
        outputs = {
            str(p.relative_to(self.path)): {"sha256": sha256(p), "bytes": p.stat().st_size}
            for p in sorted(self.path.rglob("*"))
            if p.is_file() and p not in own and p.suffix not in (".tmp", ".png")
        }
        manifest = {
            "verb": self.verb,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.time() - self.started, 1),
            "versions": _versions(),
            "commit": _commit(),
            "seed": self.recipe.get("seed"),
            "device": device,
            "inputs": {str(p): {"sha256": sha256(p)} for p in inputs if p.is_file()},
            "outputs": outputs,
            "counts": counts or {},
            "summary": summary,
        }
        write_json(self.path / MANIFEST, manifest)
        self.finished = True
        self._unlock()
        return manifest


def manifest(path: Path) -> dict[str, Any]:
    """The manifest of a finished run. Raises RunError when there is none."""
    file = path / MANIFEST
    if not file.exists():
        state = (
            "an unfinished run; give its command again to resume it" if (path / RECIPE).exists() else "no run"
        )
        raise RunError(f"expected a finished run in {path} ({MANIFEST} is written last), found {state}")
    return read_json(file)


def read_json(path: Path) -> dict[str, Any]:
    """A run's recipe or manifest. Raises RunError when it can't be read or is no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RunError(
            f"expected a JSON object in {path}, found something else ({e}); the run is damaged"
        ) from e
    if not isinstance(found, dict):
        raise RunError(f"expected a JSON object in {path}, found {type(found).__name__}; the run is damaged")
    return found


def model_files(spec: str) -> list[Path]:
    """What answered, for a manifest: weights and settings in a directory, or a script's file; none of a hub id."""
    path = Path(spec)
    return (
        [path]
        if path.is_file()
        else sorted(p for p in path.glob("*") if p.suffix in (".safetensors", ".json"))
    )


def _locked(path: Path) -> int:
    """A descriptor that holds the run's lock until it is closed. The process that has it may take it again."""
    lock = os.open(path / LOCK, os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:  # others: a file system without locks, where nothing can be said
        if e.errno in (errno.EACCES, errno.EAGAIN):
            os.close(lock)
            raise RunError(f"another process is writing to {path}; wait for it, or stop it first") from e
    return lock


def _relocate(record: Any, move: Any) -> Any:
    if isinstance(record, Image):
        return dataclasses.replace(record, path=move(record.path))
    if isinstance(record, Problem):
        return dataclasses.replace(record, images=tuple(_relocate(i, move) for i in record.images))
    if isinstance(record, (Sample, Pair)):
        return dataclasses.replace(record, problem=_relocate(record.problem, move))
    return record


def _open(path: Path) -> Any:
    try:
        return open(path, "rb")
    except OSError as e:
        raise DataError(
            f"expected a JSONL file at {path}, found none that can be read ({e.strerror or e})"
        ) from e


def _line(row: dict[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        text = json.dumps(row, default=str)
    return text + "\n"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("visreason", "torch", "transformers", "peft", "vllm"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The commit of the working tree this package runs from, when it is one that git tracks; "+dirty" behind it where
    the package's files are others."""
    tracked = _git(
        "ls-files", "--error-unmatch", Path(__file__).name
    )  # not so in a .venv inside another repository
    head = _git("rev-parse", "HEAD") if tracked else None
    changed = _git("--no-optional-locks", "status", "--porcelain", ".")
    return f"{head}+dirty" if head and changed else head


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:  # no git here
        return None
    return done.stdout.strip() or None


def checkpoints(run: Path) -> list[Path]:
    """The complete checkpoints of a training run, oldest first."""
    return sorted(p for p in (run / "checkpoint").glob("step_*") if p.suffix != ".tmp")


def model_path(spec: str) -> str:
    """A finished run's last checkpoint, or the spec itself when it is no run.

    Raises RunError when the run is not finished, since its last checkpoint would be another one tomorrow.
    """
    found = checkpoints(Path(spec))
    if not found:
        return spec
    if not (Path(spec) / MANIFEST).exists():
        raise RunError(
            f"expected a finished run in {spec}, found one still under way; give one of its checkpoints, as {found[-1]}"
        )
    return str(found[-1])


def trained_style(spec: str) -> str | None:
    """The style in which a run trained the model that it or its checkpoint holds; None of what no run made."""
    path = Path(spec.removeprefix("hf:").removeprefix("vllm:"))
    recipe = next((p / RECIPE for p in (path, *path.parents[:2]) if (p / RECIPE).is_file()), None)
    found = read_json(recipe) if recipe else {}
    return found.get("style") if found.get("verb") in ("sft", "grpo", "mpo") else None
