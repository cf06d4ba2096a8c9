"""What pipelines read: problems, sifted by the rules that need no engine, and the fields of their recipes."""

import platform
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.markup import escape

from visreason.data import has_meta, read_problems, sift
from visreason.data.files import shown
from visreason.engine import Engine, connect
from visreason.errors import DataError, UsageError
from visreason.factory.pipeline import Made, Stage, Troubles, Work, console
from visreason.prompt import style
from visreason.recipe import FILES, SHARD, Connecting, Data, Paths, Shard
from visreason.record import Problem
from visreason.reward.judge import MAX_TOKENS
from visreason.store import PICTURES, Run, model_files
from visreason.world.source import data_files, model_folder


class Making(Connecting):
    """What every pipeline takes."""

    data: Data = Field(description=f"Problems: {FILES}, or world:SPLIT:N.", examples=["world:train:200"])
    where: dict[str, str | int] = Field({}, description="Use only problems whose meta has these values.")
    limit: int | None = Field(None, ge=1, description="Use only the first problems of the data.")
    shard: Shard | None = Field(None, description=SHARD)
    near: float | None = Field(
        0.9, gt=0, le=1, description="Drop problems whose question (Jaccard of word triples) and pictures are like an "
        "earlier one's; null drops exact doubles alone.",
    )  # fmt: skip
    benchmarks: Paths = Field(
        [], description="Files of problems that must not be trained on: what meets them is dropped."
    )
    most_of: dict[str, int] = Field({}, description="Most problems of each value in meta, as {source: 1000}.")
    max_completion_tokens: int = Field(2048, ge=1, description="Longest reply of an engine.")
    block: int = Field(32, ge=1, description="Problems worked on at a time, and written together.")
    runner: Literal["here", "ray"] = Field(
        "here", description="What works on the blocks: this process, or Ray Data's workers (the extra `ray`)."
    )
    workers: int = Field(2, ge=1, description="Ray's workers, each with engines of its own.")

    def idle(self) -> dict[str, str]:
        return {**super().idle(), **({"workers": "runner=ray"} if self.runner == "here" else {})}


Rule = Callable[[list[Problem]], sift.Drops]


def problems_of(recipe: Making, record: Run) -> tuple[list[Problem], Stage]:
    """The problems of the data, and the counts of them; rows that can't be used are set aside."""
    rejected: list[dict[str, Any]] = []
    data = _files(recipe, record.path)
    read = read_problems(data, rejected, seen=record.path / PICTURES)
    found = [p for p in read if has_meta(p, recipe.where)][: recipe.limit]
    if not found:
        raise DataError(f"expected problems in {shown(data)}, found none with {recipe.where}; change where")
    if said := record.set_aside(rejected):
        console.print(said, markup=False)
    stage = Stage("problems", len(found) + len(rejected))
    stage.drop(["unreadable"] * len(rejected))
    return found, stage


def sifting(recipe: Making, held: list[Rule]) -> list[Rule]:
    """The rules that the recipe asks for: doubles, what benchmarks hold too (`decontaminating`), too many of a kind."""
    rules: list[Rule] = [lambda found: sift.duplicates(found, recipe.near), *held]
    return [*rules, lambda found: sift.surplus(found, recipe.most_of)] if recipe.most_of else rules


def decontaminating(recipe: Making) -> list[Rule]:
    """The rule against benchmarks, where there are any. What can't be read of them is said: nothing is found in it."""
    held: list[Problem] = []
    for path in recipe.benchmarks:
        rejected: list[dict[str, Any]] = []
        held += read_problems(path, rejected)
        if rejected:
            console.print(
                f"[yellow]{len(rejected)} rows of {path} can't be compared: {escape(rejected[0]['reason'])}"
            )
    return [lambda found: sift.contaminated(found, held)] if held else []


def sifted(
    problems: list[Problem], rules: Sequence[Rule], stage: Stage
) -> tuple[list[Problem], list[dict[str, Any]]]:
    """The problems that pass every rule, and the others as rows, counted in `stage`."""
    drops: list[dict[str, Any]] = []
    for rule in rules:
        out = rule(problems)
        stage.drop(name for name, _ in out.values())
        drops += [{"id": problems[i].id, "rule": name, "why": why} for i, (name, why) in sorted(out.items())]
        problems = [p for i, p in enumerate(problems) if i not in out]
    return problems, drops


def _files(recipe: Making, out: Path) -> list[Path]:
    return data_files(recipe.data, out, style("awaker"))


def sources(recipe: Making, out: Path) -> list[Path]:
    """The files a run is made from: data, benchmarks, and what answered."""
    models = (file for spec in recipe.engines() for file in model_files(spec))
    return [*_files(recipe, out), *recipe.benchmarks, *models]


class Engines:
    """Engines by their role, each connected once however many roles it has; answers of servers are kept in the run."""

    def __init__(self, recipe: Making, out: Path) -> None:
        self.recipe, self.out = recipe, out
        self._connected: dict[str, Engine] = {}

    def get(self, role: str, spec: str | None) -> Engine:
        """The engine of a role. Raises UsageError, naming the role, when none is given or there is none."""
        if not spec:
            raise UsageError(
                f"expected an engine for the role {role}, found none; give {role}=hf:PATH, "
                "http://HOST/v1#MODEL or script:FILE"
            )
        if spec not in self._connected:
            longest = max(self.recipe.max_completion_tokens, MAX_TOKENS)  # a judge has its own
            kept = self.out / f"responses{_host(self.recipe)}.sqlite"
            found = model_folder(spec, self.out, style("awaker"), self.recipe.seed)
            self._connected[spec] = connect(found, **self.recipe.engine_options(longest, kept))
        return self._connected[spec]

    def counting(self, work: Callable[[list[Problem], int], list[Made]]) -> Work:
        """The work on a block, with what went wrong on the way to servers meanwhile."""

        def counted(problems: list[Problem], seed: int) -> tuple[list[Made], Troubles]:
            before = self._troubles()
            return work(problems, seed), self._troubles() - before

        return counted

    def _troubles(self) -> Troubles:
        return sum((Counter(getattr(e, "troubles", {})) for e in self._connected.values()), Troubles())


def _host(recipe: Making) -> str:
    """Machines do not share an SQLite file, which network file systems can't keep whole."""
    return f".{platform.node()}" if recipe.runner == "ray" else ""
