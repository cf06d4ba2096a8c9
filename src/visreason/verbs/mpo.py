"""Train a model on pairs by mixed preference optimisation: preference, quality and generation (MPO), or DPO alone."""

from pathlib import Path

from visreason.data.pairs import read_pairs
from visreason.prompt import Style
from visreason.record import Pair
from visreason.store import Run
from visreason.train.pair_settings import Preferring


class Recipe(Preferring):
    """Preference optimisation."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises Tripwire when training goes wrong; the same command resumes a killed run."""
    from visreason.model.policy import Policy
    from visreason.train import setup
    from visreason.train.mpo import MPO, REFERENCE_OF_HELDOUT, with_reference

    def objective(
        record: Run, policy: Policy, pairs: list[Pair], heldout: list[Pair], style: Style, start: str
    ) -> MPO:
        known = with_reference(record, policy, pairs, style, recipe)
        few = heldout[: recipe.heldout_limit]
        looked = with_reference(record, policy, few, style, recipe, REFERENCE_OF_HELDOUT) if few else []
        return MPO(policy, known, style, recipe, looked)

    loss = f"{recipe.dpo:g} DPO + {recipe.bco:g} BCO + {recipe.nll:g} NLL, beta {recipe.beta:g}"
    work = setup.Work(
        read=lambda paths, _, rejected, seen: read_pairs(paths, rejected, seen=seen),
        problem_of=lambda pair: pair.problem,
        objective=objective,
        plan=lambda _: {"loss": loss},
    )
    setup.train("mpo", recipe, out, work)
