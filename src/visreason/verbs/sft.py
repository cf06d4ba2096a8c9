"""Fine-tune a model on written solutions: samples as they stand, or problems with a thought and an answer."""

from pathlib import Path

from visreason.data.examples import read_examples
from visreason.train.settings import Training


class Recipe(Training):
    """Supervised fine-tuning."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises VisreasonError when data, model or disk fail; the same command resumes."""
    from visreason.train import setup
    from visreason.train.sft import SFT

    work = setup.Work(
        read=read_examples,
        problem_of=lambda example: example.problem,
        objective=lambda _, policy, examples, heldout, style, __: SFT(
            policy, examples, style, recipe, heldout
        ),
        plan=lambda examples: {"completions": sum(len(e.completions) for e in examples)},
    )
    setup.train("sft", recipe, out, work)
