"""The run directory of several processes: the first one writes, the others wait until it is written."""

from pathlib import Path
from typing import Any

from visreason import store
from visreason.train.sharding.ranks import by_first, leads, together, wait


class Shared(store.Run):
    """A run that several processes train: the first one writes, the others wait until it is written."""

    @classmethod
    def open(cls, path: Path, verb: str, recipe: dict[str, Any]) -> store.Run:
        if not together():
            return store.Run.open(path, verb, recipe)
        run = super().open(path, verb, recipe) if leads() else None
        finished = by_first(lambda: bool(run and run.finished))
        return run or Follower(path, verb, recipe, finished)

    def append(self, name: str, rows: Any) -> None:
        super().append(name, rows)
        wait()


class Follower(store.Run):
    """A run as the other processes see it: read, never written."""

    def __init__(self, path: Path, verb: str, recipe: dict[str, Any], finished: bool) -> None:
        self.path, self.verb, self.recipe, self.finished = path, verb, recipe, finished

    def append(self, name: str, rows: Any) -> None:
        wait()

    def rewind(self, cursor: dict[str, int]) -> None:
        pass

    def set_aside(self, rejected: list[dict[str, Any]]) -> str:
        wait()
        return ""

    def seal(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.finished = True
        return {}
