"""The run directory of several processes: the first one writes, the others wait until it is written."""

from pathlib import Path
from typing import Any

from visreason import store
from visreason.train.sharding.ranks import gather, in_turn, leads, together


class Shared(store.Run):
    """A run that several processes train: the first one writes, the others wait until it is written."""

    @classmethod
    def open(cls, path: Path, verb: str, recipe: dict[str, Any]) -> store.Run:
        if not together():
            return store.Run.open(path, verb, recipe)
        with in_turn():
            return super().open(path, verb, recipe) if leads() else Follower(path, verb, recipe)

    def append(self, name: str, rows: Any) -> None:
        super().append(name, rows)
        gather(None)


class Follower(store.Run):
    """A run as the other processes see it: read, never written."""

    def __init__(self, path: Path, verb: str, recipe: dict[str, Any]) -> None:
        self.path, self.verb, self.recipe = path, verb, recipe
        self.finished = (path / store.MANIFEST).exists()

    def append(self, name: str, rows: Any) -> None:
        gather(None)

    def rewind(self, cursor: dict[str, int]) -> None:
        pass

    def set_aside(self, rejected: list[dict[str, Any]]) -> None:
        gather(None)

    def seal(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.finished = True
        return {}
