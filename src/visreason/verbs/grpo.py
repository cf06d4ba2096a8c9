"""Train a model by reinforcement learning with rewards (GRPO and its relatives: DAPO, Dr. GRPO, GSPO)."""

from pathlib import Path

from visreason.data import read_problems
from visreason.prompt import Style
from visreason.record import Problem
from visreason.reward import from_names
from visreason.store import Run
from visreason.train.settings import Reinforcement


class Recipe(Reinforcement):
    """Group-relative policy optimisation."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises Tripwire when training goes wrong; the same command resumes a killed run."""
    from visreason.engine.hf import HF
    from visreason.model.load import Policy
    from visreason.train import setup
    from visreason.train.grpo import GRPO

    completions = recipe.problems_per_step * recipe.completions_per_problem

    def objective(_: Run, policy: Policy, problems: list[Problem], style: Style, start: str) -> GRPO:
        reward = from_names(recipe.rewards, style)
        reference = setup.open_reference(recipe, start) if recipe.kl > 0 else None
        return GRPO(policy, HF(policy), problems, style, reward, recipe, reference)

    setup.train(
        "grpo",
        recipe,
        out,
        read=lambda path, _, rejected: read_problems(path, rejected, need_answer="correct" in recipe.rewards),
        problem_of=lambda problem: problem,
        objective=objective,
        plan=lambda _: {
            "completions per problem": recipe.completions_per_problem,
            "completions per step": completions,
            "completion tokens per step": f"at most {completions * recipe.max_completion_tokens:,}",
            "updates per step": recipe.passes * recipe.minibatches,
            "rewards": " + ".join(f"{w:g} {name}" for name, w in recipe.rewards.items()),
        },
    )
