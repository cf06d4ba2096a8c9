"""Train a reward model on pairs of a better and a worse completion (Bradley-Terry)."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visreason.data.pairs import chosen_is_right, read_pairs, split
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.record import Pair
from visreason.stats import Interval
from visreason.store import Run
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
    recipe: Recipe,
    record: Run,
    policy: "Policy",
    pairs: list[Pair],
    heldout: list[Pair],
    style: Style,
    start: str,
) -> "RewardModel":
    from visreason.train.reward_model import RewardModel, stretches
    from visreason.train.telling import console

    learned, heldout = (pairs, heldout) if heldout else split(pairs, recipe.heldout_one_in)
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


def _warn_of_swapped(pairs: list[Pair], console: Any) -> None:
    """Say so where the problems' own answers speak against the pairs."""
    found = chosen_is_right(pairs)
    if found is not None and found.high < 0.5:
        console.print(
            f"[bold red]where just one side is right by the problem's answer, it is the chosen one in {found} of the "
            "pairs: are the columns chosen and rejected swapped?"
        )
