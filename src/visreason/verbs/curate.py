"""Make pairs of scored samples, or take pairs as they are, and clean them stage by stage.

Stages: exact doubles, near doubles, a judge's verdict, a surrogate reward model's thresholds, chosen sides written
anew. What a stage drops is kept in dropped.jsonl with its reason; a killed run goes on within the stage it was in.
A shard is judged and scored; thresholds need all scores, so `visreason merge` draws them, and writes sides anew.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field
from rich.console import Console
from rich.progress import track

from visreason.data import part, read_samples
from visreason.data.files import each, read_rows
from visreason.data.pairing import By, Pairing, make_pairs
from visreason.data.pairs import content, is_pair, read_pairs
from visreason.engine import Engine, Sampling, connect
from visreason.engine.responses import digest
from visreason.errors import DataError, RunError
from visreason.prompt import style
from visreason.recipe import SHARD, Connecting, Data, Shard
from visreason.record import Pair, from_json, to_json
from visreason.store import JUDGED, PICTURES, SCORED, Run, model_files, write_records
from visreason.store import read_rows as read_lines
from visreason.world.source import data_files

PAIRS, DROPPED = "pairs.jsonl", "dropped.jsonl"
BLOCK = 64
"""Pairs between two writes of a long stage."""
T = TypeVar("T")


class Recipe(Connecting):
    """What is made into pairs, and what they have to pass."""

    ROLES = ("judge", "regenerate")

    data: Data = Field(
        description="Pairs, or scored samples to make pairs of: a file, a list of files, or a pattern of files.",
        examples=["runs/evaluate/a/samples.jsonl"],
    )
    by: By = Field(
        "correct",
        description="Which of two samples is better: the right one, the one of higher learned score, or both.",
    )
    min_margin: float = Field(0.0, ge=0, description="Least difference of learned scores of a pair's sides.")
    per_problem: int = Field(2, ge=1, description="Most pairs of a problem.")
    match_length: bool = Field(
        True, description="Pair samples of like length first, so that length is not what is learned."
    )
    near: float | None = Field(
        0.9,
        gt=0,
        le=1,
        description="Drop pairs so like an earlier one (Jaccard of word triples); null is off.",
    )
    judge: str | None = Field(None, description="Engine that must agree with every pair, in both orders.")
    surrogate: str | None = Field(None, description="Reward model whose scores find weak pairs.")
    weakest: float = Field(
        0.1, ge=0, lt=1, description="Share of pairs that are weak by their chosen side's score."
    )
    narrowest: float = Field(
        0.1, ge=0, lt=1, description="Share of pairs that are weak by their scores' difference."
    )
    regenerate: str | None = Field(
        None,
        description="Engine that writes a better chosen side for weak pairs; without it they are dropped.",
    )
    answers: int = Field(4, ge=1, description="Answers that are written for a weak pair.")
    style: str = Field("awaker", description="How problems are put to the engine that writes.")
    max_completion_tokens: int = Field(1024, ge=1, description="Longest answer it writes.")
    shard: Shard | None = Field(None, description=SHARD)

    def idle(self) -> dict[str, str]:
        weak = {} if self.surrogate else dict.fromkeys(("weakest", "narrowest", "regenerate"), "a surrogate")
        writing = ("answers", "style", "max_completion_tokens")
        written = {} if self.regenerate else dict.fromkeys(writing, "regenerate")
        margin = {"min_margin": "by=learned or both"} if self.by == "correct" else {}
        asking = {} if self.judge or self.surrogate else {"shard": "a judge or a surrogate"}
        engines = {k: v for k, v in super().idle().items() if not (self.surrogate and k in self.seeing())}
        return {**engines, **weak, **written, **margin, **asking}


console = Console(stderr=True)


def run(recipe: Recipe, out: Path) -> None:
    """Make and clean the pairs, write pairs.jsonl, and seal. The manifest's counts say what every stage dropped."""
    record = Run.open(out, "curate", recipe.model_dump(mode="json"))
    if record.finished:
        console.print(f"{out} is finished; nothing to do")
        return
    rejected: list[dict[str, Any]] = []
    data = data_files(recipe.data, out, style(recipe.style))
    pairs = [pair for path, _ in each(data, rejected) for pair in _read(path, recipe, rejected, out)]
    if said := record.set_aside(rejected):
        console.print(said, markup=False)
    record.rewind({DROPPED: 0})
    if not pairs:
        raise DataError(
            f"expected pairs, found none: no problem has a better and a worse sample by {recipe.by}"
        )
    counts = {"read": len(pairs), "rejected": len(rejected)}
    console.print(f"{len(pairs)} pairs")
    for name, stage in _stages(recipe, record).items():
        if recipe.shard and name == _first_asking(recipe):
            ours = part(pairs, recipe.shard, "pairs")
            counts["another_shard"], pairs = len(pairs) - len(ours), ours
        pairs, dropped, changed = _apply(pairs, stage(pairs))
        counts |= {f"dropped_{name}": len(dropped)} | ({"rewritten": changed} if recipe.regenerate else {})
        record.append(DROPPED, ({"stage": name, "reason": why, "pair": to_json(p)} for p, why in dropped))
        console.print(f"{name}: {len(dropped)} dropped, {len(pairs)} left")
    if not pairs and not recipe.shard:
        raise DataError(f"expected pairs to be left, found none; {out / DROPPED} says why")
    counts["kept"] = write_records(out / PAIRS, pairs)
    models = [
        f for spec in (recipe.judge, recipe.surrogate, recipe.regenerate) if spec for f in model_files(spec)
    ]
    record.seal({"pairs": len(pairs)}, [*data, *models], counts)
    console.print(f"{len(pairs)} pairs in {out / PAIRS}")


def _read(path: Path, recipe: Recipe, rejected: list[dict[str, Any]], out: Path) -> list[Pair]:
    first = next((row for _, row in read_rows(path, [])), {})
    if is_pair(first):
        return read_pairs(path, rejected, seen=out / PICTURES)
    how = Pairing(recipe.by, recipe.min_margin, recipe.per_problem, recipe.match_length)
    return list(make_pairs(read_samples(path, rejected), how))


Outcomes = Sequence[Pair | str | None]


def _stages(recipe: Recipe, record: Run) -> dict[str, Callable[[list[Pair]], Outcomes]]:
    """The stages that the recipe asks for, by name and in order."""
    from visreason.reward import curation

    stages: dict[str, Callable[[list[Pair]], Outcomes]] = {"exact": curation.exact}
    if recipe.near is not None:
        stages["near"] = partial(curation.near, threshold=recipe.near)
    if recipe.judge:
        stages["judge"] = partial(_judge, recipe, record)
    if recipe.surrogate:
        stages["weak"] = partial(_weak, recipe, record)
    return stages


def _first_asking(recipe: Recipe) -> str:
    """The first stage that asks a model, and so is divided over shards."""
    return "judge" if recipe.judge else "weak"


def _judge(recipe: Recipe, record: Run, pairs: list[Pair]) -> Outcomes:
    from visreason.reward.curation import judged
    from visreason.reward.judge import MAX_TOKENS

    def build() -> Callable[[list[Pair]], Outcomes]:
        return partial(judged, engine=_engine(recipe, str(recipe.judge), MAX_TOKENS, record))

    return _in_blocks(record, JUDGED, pairs, build)


def _weak(recipe: Recipe, record: Run, pairs: list[Pair]) -> Outcomes:
    """Weak pairs are dropped, or their chosen sides written anew."""
    from visreason.reward import curation
    from visreason.reward.learned import Learned

    surrogate = cache(partial(Learned, str(recipe.surrogate), **recipe.seeing()))
    gaps = _in_blocks(record, SCORED, pairs, lambda: partial(curation.scored, surrogate=surrogate()))
    if recipe.shard:
        return [None] * len(pairs)
    reasons = curation.weak(gaps, recipe.weakest, recipe.narrowest)
    if not recipe.regenerate:
        return reasons
    sampling = Sampling(recipe.answers, 1.0, max_tokens=recipe.max_completion_tokens, seed=recipe.seed)
    layout = style(recipe.style)

    def build() -> Callable[[list[Pair]], list[Any]]:
        engine = _engine(recipe, str(recipe.regenerate), recipe.max_completion_tokens, record)

        def write(block: list[Pair]) -> list[Any]:
            found = curation.rewritten(block, engine, layout, surrogate(), sampling)
            return [to_json(f) if isinstance(f, Pair) else f for f in found]

        return write

    chosen = [p for p, reason in zip(pairs, reasons, strict=True) if reason]
    rows = iter(_in_blocks(record, "rewritten.jsonl", chosen, build))
    found = [next(rows) if reason else None for reason in reasons]
    return [from_json(Pair, f) if isinstance(f, dict) else f for f in found]


def _engine(recipe: Recipe, spec: str, max_completion_tokens: int, record: Run) -> Engine:
    return connect(spec, **recipe.engine_options(max_completion_tokens, record.path / "responses.sqlite"))


def _in_blocks(
    record: Run, file: str, pairs: list[Pair], build: Callable[[], Callable[[list[Pair]], Sequence[T]]]
) -> list[T]:
    """What the work that `build` makes finds of every pair, block by block; what is on disk is not done again, and
    nothing is built where all of it is."""
    path = record.path / file
    rows = [row for _, row in read_lines(path, growing=True)] if path.exists() else []
    for row, pair in zip(rows, pairs, strict=False):
        if row["of"] != _mark(pair):
            raise RunError(
                f"expected {pair.problem.id!r} next in {path}, found another pair: the data changed since the run "
                "began; start again in another directory (out=...)"
            )
    done = [row["found"] for row in rows]
    done = done[: len(pairs) if len(done) >= len(pairs) else len(done) // BLOCK * BLOCK]
    record.keep(file, len(done))
    starts = range(len(done), len(pairs), BLOCK)
    work = build() if starts else None
    total, before = -(-len(pairs) // BLOCK), len(done) // BLOCK
    for start in track(starts, path.stem, total=total, completed=before, console=console):
        assert work is not None
        block = pairs[start : start + BLOCK]
        found = work(block)
        record.append(file, ({"of": _mark(p), "found": f} for p, f in zip(block, found, strict=True)))
        done += found
    return done


def _mark(pair: Pair) -> str:
    """What tells pairs apart on disk."""
    return digest([*content(pair.problem), pair.problem.id, pair.chosen.text, pair.rejected.text])[:16]


def _apply(pairs: list[Pair], outcomes: Outcomes) -> tuple[list[Pair], list[tuple[Pair, str]], int]:
    """Pairs that stay, those that are dropped with the reason, and how many were changed."""
    both = list(zip(pairs, outcomes, strict=True))
    kept = [o if isinstance(o, Pair) else p for p, o in both if not isinstance(o, str)]
    return kept, [(p, o) for p, o in both if isinstance(o, str)], sum(isinstance(o, Pair) for _, o in both)
