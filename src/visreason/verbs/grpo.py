"""Train a model by reinforcement learning with rewards (GRPO and its relatives: DAPO, Dr. GRPO, GSPO)."""

from pathlib import Path
from typing import Any

from visreason.data import has_meta, read_problems
from visreason.prompt import style
from visreason.reward import from_names
from visreason.store import Run
from visreason.train.settings import Reinforcement
from visreason.world.source import data_file, model_folder


class Recipe(Reinforcement):
    """Group-relative policy optimisation."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises Tripwire when training goes wrong; the same command resumes a killed run."""
    from visreason.engine.hf import HF
    from visreason.train import loop, setup
    from visreason.train.grpo import GRPO

    record = Run.open(out, "grpo", recipe.model_dump(mode="json"))
    if record.finished:
        loop.console.print(f"{out} is finished; nothing to do")
        return
    layout = style(recipe.style)
    rejected: list[dict[str, Any]] = []
    data = data_file(recipe.data, out, layout)
    problems = [p for p in read_problems(data, rejected, need_answer=True) if has_meta(p, recipe.where)][
        : recipe.limit
    ]
    start = model_folder(recipe.model, out, layout, recipe.seed)
    policy, state = setup.open_policy(record, recipe, start)
    reference = setup.open_reference(recipe, start) if recipe.kl > 0 else None
    problems = setup.within_budget(policy, problems, lambda p: p, layout, rejected)
    setup.keep_rejected(record, rejected)
    reward = from_names(recipe.rewards, layout)
    objective = GRPO(policy, HF(policy), problems, layout, reward, recipe, reference)
    steps = loop.total_steps(recipe, len(problems))
    setup.print_plan(
        "grpo",
        {
            "problems": len(problems),
            "set aside": len(rejected),
            "problems per step": recipe.problems_per_step,
            "completions per problem": recipe.completions_per_problem,
            "completions per step": recipe.problems_per_step * recipe.completions_per_problem,
            "updates per step": recipe.passes * recipe.minibatches,
            "steps": steps,
            "rewards": " + ".join(f"{w:g} {name}" for name, w in recipe.rewards.items()),
            **setup.plan_of(policy, recipe),
        },
    )
    setup.check_forest(policy, problems[0], layout, recipe)
    loop.fit(record, policy, objective, recipe, steps, state)
    setup.seal(record, policy, steps, [data], {"problems": len(problems), "rejected": len(rejected)})
