"""The learned reward: a reward model's scores, all completions of a problem in one tree. It sees the images.

Scores are raw and unbounded; they compare completions of one problem, not problems.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch

from visreason.errors import DataError, RunError
from visreason.model import load as loading
from visreason.model import value_head
from visreason.model.forest import Branch, Tree, micro_batches, plant
from visreason.model.load import Policy
from visreason.prompt import Style, messages, style
from visreason.record import Problem, Sample, Score
from visreason.store import model_path

Group = tuple[Problem, Sequence[str]]
"""A problem and texts that answer it."""
BLOCK = 32
"""Groups encoded at a time, so that few pictures are held."""


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
        )
        head = value_head.read(folder, self.policy.base.config.get_text_config().hidden_size)
        self.policy.value_head = head.to(self.policy.device)
        self.style = style(head.style or "direct")
        self.budget = micro_batch_tokens

    def __call__(self, samples: list[Sample]) -> list[Score]:
        """The reward of samples: raw scores, which say nothing of right and wrong. Raises DataError for a problem
        that can't be read."""
        places: dict[tuple, list[int]] = {}
        for i, sample in enumerate(samples):
            problem = sample.problem
            places.setdefault((problem.id, problem.question, problem.choices, problem.images), []).append(i)
        groups = [(samples[p[0]].problem, [samples[i].completion.text for i in p]) for p in places.values()]
        values = [0.0] * len(samples)
        for found, place in zip(self.scores(groups), places.values(), strict=True):
            if isinstance(found, DataError):
                raise found
            for i, value in zip(place, found, strict=True):
                values[i] = value
        return [Score(v, reason="unparsed") for v in values]

    def scores(self, groups: Sequence[Group]) -> Iterator[list[float] | DataError]:
        """Scores of every group's texts, in order; the error of a problem that can't be read."""
        return group_scores(self.policy, groups, self.style, self.budget)


def turn_tree(policy: Policy, problem: Problem, texts: Sequence[str], layout: Style) -> Tree:
    """The problem's prompt with each text as a whole turn of the assistant's, ready for `Policy.scores`."""
    prompt, rows = policy.encoder.turns(policy.encoder.prompt(messages(problem, layout)), list(texts))
    return Tree(prompt, tuple(Branch(ids, torch.zeros(len(ids)), name=problem.id) for ids in rows))


@torch.no_grad()
def group_scores(
    policy: Policy, groups: Sequence[Group], layout: Style, budget: int
) -> Iterator[list[float] | DataError]:
    """Scores of every group's texts, in order; the error of a problem that can't be read or is too long.

    Raises RunError for a score that is not finite.
    """
    for start in range(0, len(groups), BLOCK):
        block = groups[start : start + BLOCK]
        _encode(policy, [problem for problem, _ in block], layout)
        made = [_tree_or_error(policy, problem, texts, layout) for problem, texts in block]
        trees = [t for t in made if isinstance(t, Tree)]
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


def _encode(policy: Policy, problems: Sequence[Problem], layout: Style) -> None:
    """Fill the encoder's cache in one call; what can't be asked is told later, for each problem alone."""
    conversations = []
    for problem in problems:
        with suppress(DataError):
            conversations.append(messages(problem, layout))
    policy.encoder.prompts(conversations)


def _tree_or_error(policy: Policy, problem: Problem, texts: Sequence[str], layout: Style) -> Tree | DataError:
    try:
        return turn_tree(policy, problem, texts, layout)
    except DataError as e:
        return e
