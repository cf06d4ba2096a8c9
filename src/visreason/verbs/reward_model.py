"""Train a reward model on pairs of a better and a worse completion (Bradley-Terry)."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visreason.data import has_meta
from visreason.data.pairs import chosen_is_right, content, read_pairs, split
from visreason.errors import DataError, UsageError
from visreason.prompt import Style, messages
from visreason.record import Pair
from visreason.stats import Interval
from visreason.store import PICTURES, Run
from visreason.train.pair_settings import RewardModelling

if TYPE_CHECKING:
    from visreason.model.policy import Policy
    from visreason.train.reward_model import RewardModel

SCORES = "heldout.jsonl"


class Recipe(RewardModelling):
    """Reward modelling."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. The manifest's summary has the accuracy on held-out pairs, by source and at equal length.

    Raises Tripwire when training goes wrong; the same command resumes a killed run.
    """
    from visreason.train import setup
    from visreason.train.reward_model import with_head

    if not recipe.share_trunk:
        raise UsageError(
            "expected share_trunk=true: the two sides of a pair are branches of one tree; leave it out"
        )
    work = setup.Work(
        read=lambda paths, _, rejected, seen: read_pairs(paths, rejected, seen=seen),
        problem_of=lambda pair: pair.problem,
        objective=partial(_objective, recipe),
        plan=lambda pairs: {"with images": sum(bool(p.problem.images) for p in pairs)},
        opened=partial(with_head, settings=recipe),
        finish=partial(_finish, recipe),
    )
    setup.train("reward_model", recipe, out, work)


def _objective(
    recipe: Recipe, record: Run, policy: "Policy", pairs: list[Pair], style: Style, start: str
) -> "RewardModel":
    from visreason.train import sharding
    from visreason.train.reward_model import RewardModel, stretches
    from visreason.train.telling import console

    learned, heldout = split(pairs, recipe.heldout_one_in)
    if recipe.heldout:
        file, seen = recipe.heldout, record.path / PICTURES
        heldout = sharding.after_first(lambda: _heldout(file, recipe.where, seen))
        _refuse_long(policy, heldout, style)
        known = set(map(content, heldout))
        learned = [p for p in pairs if content(p) not in known]
        if shared := len(pairs) - len(learned):
            console.print(f"{shared} pairs are not learned: their problems are held out")
    if not learned or not heldout:
        raise DataError(
            f"expected pairs to learn and pairs held out, found {len(learned)} and {len(heldout)}; give more pairs, "
            "another heldout_one_in, or a file of its own with heldout=..."
        )
    _warn_of_swapped(learned, console)
    return RewardModel(policy, stretches(recipe, learned), heldout, style, recipe)


def _finish(recipe: Recipe, record: Run, trained: "RewardModel") -> dict[str, Any]:
    """Write the scores of the held-out pairs; what the summary says of them."""
    from visreason.reward.ranking import pair_summary
    from visreason.train.reward_model import rank
    from visreason.train.telling import console

    ranked = rank(trained.policy, trained.heldout, trained.style, recipe)
    record.rewind({SCORES: 0})
    record.append(SCORES, [r.row() for r in ranked])
    summary = pair_summary(ranked)
    found = Interval(**summary["pair_accuracy"])
    console.print(f"accuracy on held-out pairs {found}")
    if found.high < 0.5:
        console.print("[bold red]that is under chance: are chosen and rejected swapped in one of the files?")
    return summary


def _heldout(path: Path, where: dict[str, str | int], seen: Path) -> list[Pair]:
    rejected: list[dict[str, Any]] = []
    pairs = read_pairs(path, rejected, seen=seen)
    if rejected:
        raise DataError(
            f"expected held-out pairs that can all be used in {path}, found {len(rejected)} that can't: line "
            f"{rejected[0]['line']}: {rejected[0]['reason']}. Clean the file first (visreason curate)"
        )
    return [p for p in pairs if has_meta(p.problem, where)]


def _refuse_long(policy: "Policy", pairs: list[Pair], style: Style) -> None:
    """Before the first step, not after the last one."""
    budget = policy.encoder.max_tokens
    long = [p.problem.id for p in pairs if not policy.encoder.fits(messages(p.problem, style))]
    if long:
        raise DataError(
            f"expected held-out prompts of at most {budget} tokens, found {len(long)} longer ones, {long[0]!r} first; "
            "raise max_prompt_tokens, or leave them out"
        )


def _warn_of_swapped(pairs: list[Pair], console: Any) -> None:
    """Say so where the problems' own answers speak against the pairs."""
    found = chosen_is_right(pairs)
    if found is not None and found.high < 0.5:
        console.print(
            f"[bold red]where just one side is right by the problem's answer, it is the chosen one in {found} of the "
            "pairs: are the columns chosen and rejected swapped?"
        )
