"""Run directories, sealed by a manifest written last.

A run directory is resumed by the command that made it and refused to any other. Appended files can be cut back to a
remembered length, so that a resumed run ends with the same records as one that was never killed.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from visreason.errors import RunError
from visreason.record import R, Record, Sample
from visreason.store.lines import (
    json_line,
    read_json,
    read_records,
    read_rows,
    record_row,
    write_json,
)
from visreason.store.provenance import commit, files, versions

MANIFEST, RECIPE, LOCK, IMAGES = "manifest.json", "recipe.json", ".lock", "images"
METRICS, SAMPLES, REJECTED = "metrics.jsonl", "samples.jsonl", "rejected.jsonl"
JUDGED, SCORED = "judge.jsonl", "surrogate.jsonl"
"""What a judge and a surrogate reward model said of every pair that reached them."""
PICTURES = "pictures.jsonl"
"""Pictures that an unfinished run has read to their end (`data.pictures.Seen`)."""
TROUBLES = "troubles.jsonl"
"""What went wrong on the way to servers, by kind, a row for each block that met with any."""


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
            p
            for p in self.path.iterdir()
            if p.suffix != ".tmp" and p.name not in (RECIPE, LOCK, IMAGES, PICTURES)
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
        text = "".join(json_line(r if isinstance(r, dict) else record_row(r, self.path)) for r in rows)
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

    def answered(self, ids: Sequence[str], block: int = 1) -> list[Sample]:
        """The samples on disk, of problems `ids` in this order, to the last whole block; what follows is cut off.

        Raises RunError where they are of other problems.
        """
        found = self.records(SAMPLES, Sample)[: len(ids)]
        for sample, id in zip(found, ids, strict=False):
            if sample.problem.id != id:
                raise RunError(
                    f"expected an answer to {id!r} next in {self.path / SAMPLES}, found one to {sample.problem.id!r}: "
                    "the data changed since the run began; start again in another directory (out=...)"
                )
        whole = len(found) if len(found) == len(ids) else len(found) // block * block
        self.keep(SAMPLES, whole)
        return found[:whole]

    def keep(self, name: str, lines: int) -> None:
        """Cut an appended file back to its first lines."""
        path = self.path / name
        if path.exists():
            with open(path, "rb+") as file:
                file.truncate(sum(map(len, islice(file, lines))))

    def troubled(self, counts: Counter[str]) -> None:
        """Keep what went wrong on the way to servers."""
        self.append(TROUBLES, [dict(counts)] if counts else [])

    def troubles(self) -> dict[str, int]:
        """All that went wrong since the run began, killed sessions included."""
        return dict(sum(map(Counter, self.rows(TROUBLES)), Counter[str]()))

    def set_aside(self, rejected: list[dict[str, Any]]) -> str:
        """Write the rows that were not used, with line and reason; those of an earlier session are the same.

        Returns what to say of them: how many, where they are, the most frequent reason; empty where there are none.
        """
        self.rewind({REJECTED: 0})
        self.append(REJECTED, rejected)
        if not rejected:
            return ""
        [(reason, n)] = Counter(row["reason"] for row in rejected).most_common(1)
        first = next(row for row in rejected if row["reason"] == reason)
        place = f", line {first['line']} first" if first["line"] else ""
        place += f" of {first['file']}" if place and "file" in first else ""
        kept = f"{len(rejected)} rows set aside, kept with their reasons in {self.path / REJECTED}"
        return f"{kept}; {n} of them{place}: {reason}"

    def seal(
        self,
        summary: dict[str, Any],
        inputs: Iterable[Path] = (),
        counts: dict[str, int] | None = None,
        device: str = "cpu",
    ) -> dict[str, Any]:
        """Write the manifest, last and by rename. Returns it. Its seconds are those of the session that finished; files
        are told as `provenance.files` says."""
        (self.path / PICTURES).unlink(missing_ok=True)
        own = (self.path / MANIFEST, self.path / RECIPE, self.path / LOCK)
        made = [
            p
            for p in sorted(self.path.rglob("*"))
            if p.is_file() and p not in own and p.suffix not in (".tmp", ".png")
        ]
        manifest = {
            "verb": self.verb,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.time() - self.started, 1),
            "versions": versions(),
            "commit": commit(),
            "seed": self.recipe.get("seed"),
            "device": device,
            "inputs": {str(p): told for p, told in files([p for p in inputs if p.is_file()]).items()},
            "outputs": {str(p.relative_to(self.path)): told for p, told in files(made).items()},
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
