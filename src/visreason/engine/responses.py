"""Answers of servers on disk, so that a restarted run asks nothing twice."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from visreason.errors import RunError
from visreason.record import Completion, from_json, to_json


class Responses:
    """Completions by the digest of what was asked, in an SQLite file that survives a kill at any moment.

    Without a path nothing is kept. Several processes may share a file. Raises RunError when it can't be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            self.db.execute("CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, completions TEXT)")
        except (OSError, sqlite3.Error) as e:
            raise self._unusable(e) from e

    def get(self, key: str) -> list[Completion] | None:
        """What was answered, or None."""
        if self.path is None:
            return None
        try:
            row = self.db.execute("SELECT completions FROM responses WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as e:
            raise self._unusable(e) from e
        return row and [from_json(Completion, c) for c in json.loads(row[0])]

    def put(self, key: str, completions: list[Completion]) -> None:
        """Keep an answer; one that is there already stays."""
        if self.path is None:
            return
        text = json.dumps([to_json(c) for c in completions])
        try:
            self.db.execute("INSERT OR IGNORE INTO responses VALUES (?, ?)", (key, text))
        except sqlite3.Error as e:
            raise self._unusable(e) from e

    def _unusable(self, error: Exception) -> RunError:
        return RunError(
            f"expected an SQLite file of responses at {self.path}, found one that can't be used ({error}); make room, "
            "delete the file to ask again, or give another with responses=..."
        )


def digest(value: Any) -> str:
    """Hex digest of JSON values; equal values have equal digests.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
