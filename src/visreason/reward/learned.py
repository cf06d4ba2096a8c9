"""The learned reward: a reward model's scores, all completions of a problem in one tree. It sees the images.

Scores are raw and unbounded; they compare completions of one problem, not problems.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from rich.console import Console

from visreason.errors import DataError, ModelError, RunError
from visreason.model import load as loading
from visreason.model import value_head
from visreason.model.check import check_once
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree, micro_batches, plant
from visreason.model.policy import Policy
from visreason.prompt import Style, style
from visreason.record import Problem, Sample, Score
from visreason.stats import by_prompt
from visreason.store import model_path

Group = tuple[Problem, Sequence[str]]
"""A problem and texts that answer it."""
BLOCK = 32
"""Groups encoded at a time, so that few pictures are held."""
console = Console(stderr=True)


class Learned:
    """A reward model by its directory, run directory or hub id. Without a style of its own it is shown problems bare.

    Raises ModelError when it can't be loaded, or has no head.
    """

    def __init__(
        self,
        path: str,
        dtype: str = "float32",
        device: str = "auto",
        max_pixels: int | None = None,
        min_pixels: int | None = None,
        max_prompt_tokens: int = 8192,
        micro_batch_tokens: int = 16384,
    ) -> None:
        folder = model_path(path)
        self.policy = loading.load(
            folder,
            dtype,
            device,
            max_pixels=max_pixels,
            min_pixels=min_pixels,
            max_prompt_tokens=max_prompt_tokens,
            scores=True,
        )
        head = value_head.read(folder, self.policy.base.config.get_text_config().hidden_size)
        self.policy.value_head = head.to(self.policy.device)
        self.style = style(head.style or "direct")
        self.budget = micro_batch_tokens

    def __call__(self, samples: list[Sample]) -> list[Score]:
        """The reward of samples: raw scores, which say nothing of right and wrong. Raises DataError for a problem
        that can't be read."""
        places = by_prompt(samples)
        groups = [(samples[p[0]].problem, [samples[i].completion.text for i in p]) for p in places]
        values = [0.0] * len(samples)
        for found, place in zip(self.scores(groups), places, strict=True):
            if isinstance(found, DataError):
                raise found
            for i, value in zip(place, found, strict=True):
                values[i] = value
        return [Score(v, reason="unparsed") for v in values]

    def scores(self, groups: Sequence[Group]) -> Iterator[list[float] | DataError]:
        """Scores of every group's texts, in order; the error of a problem that can't be read."""
        return group_scores(self.policy, groups, self.style, self.budget)


def turn_tree(policy: Policy, prompt: Prompt, texts: Sequence[str], name: str) -> Tree:
    """A problem's prompt with each text as a whole turn of the assistant's, ready for `Policy.scores`; `name` is the
    problem's id."""
    before, rows = policy.encoder.turns(prompt, list(texts))
    return Tree(before, tuple(Branch(ids, torch.zeros(len(ids)), name=name) for ids in rows))


@torch.no_grad()
def group_scores(
    policy: Policy, groups: Sequence[Group], layout: Style, budget: int
) -> Iterator[list[float] | DataError]:
    """Scores of every group's texts, in order; the error of a problem that can't be read or is too long.

    Raises RunError for a score that is not finite.
    """
    for start in range(0, len(groups), BLOCK):
        block = groups[start : start + BLOCK]
        prompts = policy.encoder.asked([problem for problem, _ in block], layout)
        made = [
            p if isinstance(p, DataError) else _fitting(policy, turn_tree(policy, p, texts, problem.id))
            for p, (problem, texts) in zip(prompts, block, strict=True)
        ]
        trees = [t for t in made if isinstance(t, Tree)]
        if trees:
            _check(policy, trees[0].prompt)
        batches, _ = micro_batches(trees, budget, policy.share)
        found = [policy.scores(plant(b, policy.attention_path)).tolist() for b in batches]
        left = iter([score for scores in found for score in scores])
        for tree in made:
            if isinstance(tree, DataError):
                yield tree
                continue
            scores = [next(left) for _ in tree.branches]
            if not all(map(math.isfinite, scores)):
                raise RunError(
                    f"expected finite scores of problem {tree.branches[0].name!r}, found {scores}: the reward model "
                    f"{policy.name} has diverged; take an earlier checkpoint, or float32"
                )
            yield scores


def _fitting(policy: Policy, tree: Tree) -> Tree | DataError:
    """The tree, if the model knows positions for all of it: what lies beyond would be scored as anything."""
    most = policy.base.config.get_text_config().max_position_embeddings
    found = int(tree.prompt.positions[0, -1]) + max(len(b.ids) for b in tree.branches)
    if found <= most:
        return tree
    return DataError(
        f"problem {tree.branches[0].name!r}: expected a prompt and texts of at most {most} positions, found {found}; "
        "leave the longest text out"
    )


def _check(policy: Policy, prompt: Prompt) -> None:
    """The self-check on the first prompt; a model that fails it scores every text on its own, and that is said."""
    first = not policy.checked
    try:
        check_once(policy, prompt)
    except ModelError as e:
        policy.share = False
        console.print(f"[bold red]{e}", soft_wrap=True)
    policy.checked = True
    if first and not policy.share:
        console.print(
            f"[bold yellow]every text is scored on its own: the attention of {policy.name} can't share a prompt",
            soft_wrap=True,
        )
