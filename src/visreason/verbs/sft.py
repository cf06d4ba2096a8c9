"""Fine-tune a model on written solutions: samples as they stand, or problems with a thought and an answer."""

from pathlib import Path
from typing import Any

from visreason.data import has_meta
from visreason.data.examples import read_examples
from visreason.prompt import style
from visreason.store import Run
from visreason.train.settings import Training
from visreason.world.source import data_file, model_folder


class Recipe(Training):
    """Supervised fine-tuning."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises VisreasonError when data, model or disk fail; the same command resumes."""
    from visreason.train import loop, setup
    from visreason.train.sft import SFT

    record = Run.open(out, "sft", recipe.model_dump(mode="json"))
    if record.finished:
        loop.console.print(f"{out} is finished; nothing to do")
        return
    layout = style(recipe.style)
    rejected: list[dict[str, Any]] = []
    data = data_file(recipe.data, out, layout)
    examples = [e for e in read_examples(data, layout, rejected) if has_meta(e.problem, recipe.where)][
        : recipe.limit
    ]
    policy, state = setup.open_policy(record, recipe, model_folder(recipe.model, out, layout, recipe.seed))
    examples = setup.within_budget(policy, examples, lambda e: e.problem, layout, rejected)
    objective = SFT(policy, examples, layout, recipe)
    setup.keep_rejected(record, rejected)
    steps = loop.total_steps(recipe, len(examples))
    completions = sum(len(e.texts) for e in examples)
    setup.print_plan(
        "sft",
        {
            "problems": len(examples),
            "completions": completions,
            "set aside": len(rejected),
            "problems per step": recipe.problems_per_step,
            "steps": steps,
            **setup.plan_of(policy, recipe),
        },
    )
    setup.check_forest(policy, examples[0].problem, layout, recipe)
    loop.fit(record, policy, objective, recipe, steps, state)
    setup.seal(record, policy, steps, [data], {"problems": len(examples), "rejected": len(rejected)})
