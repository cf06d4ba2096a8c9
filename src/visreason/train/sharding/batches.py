"""Trees dealt to the processes by their tokens, in as many forwards of the same parts of the model as all others."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar

import torch

from visreason.errors import DataError
from visreason.model import forest
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Forest, Tree, plant
from visreason.model.patches import numbers
from visreason.model.policy import Policy
from visreason.train.sharding import ranks

S, T = TypeVar("S"), TypeVar("T")


def deal(sizes: Sequence[int], hands: int) -> list[list[int]]:
    """Places of the sizes dealt to hands, largest first to the hand that has least; each hand in order.

    >>> deal([5, 9, 4, 6], 2)
    [[1, 2], [0, 3]]
    """
    dealt: list[list[int]] = [[] for _ in range(hands)]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        min(dealt, key=lambda hand: sum(sizes[j] for j in hand)).append(i)
    return [sorted(hand) for hand in dealt]


@dataclass(frozen=True)
class MicroBatch:
    """This process's trees of one forward, none where it has none left, and the filler that runs beside them."""

    trees: list[Tree]
    filler: Prompt | None = None

    def planted(self, policy: Policy) -> Forest:
        """The forest to run, the filler last."""
        if self.filler is None:
            return plant(self.trees, policy.attention_path)
        names = self.trees[0].branches[0].fields if self.trees else ()
        fields = {name: torch.zeros(1) for name in names}
        branch = Branch(self.filler.ids[:1], torch.zeros(1), fields)
        planted = plant([*self.trees, Tree(self.filler, (branch,))], policy.attention_path)
        if policy.share:
            return planted
        # The model's own attention (windows and all) on one row, in which the filler comes last and is seen by none.
        return replace(planted, layout=replace(planted.layout, trees=((planted.layout.tokens - 1, (1,)),)))

    def own(self, values: torch.Tensor) -> torch.Tensor:
        """Values of tokens, or of branches, without the filler's: it has one of either."""
        return values if self.filler is None else values[:-1]


def micro_batches(
    policy: Policy, trees: Sequence[Tree], budget: int, whole: bool = False
) -> tuple[list[MicroBatch], int]:
    """This process's share of the trees in forwards of at most `budget` tokens, as many as every other process has;
    and the tokens that splits cost all of them."""
    dealt = [[trees[i] for i in hand] for hand in _hands(trees)]
    cut = [forest.micro_batches(own, budget, policy.share, whole) for own in dealt]
    made = []
    for row in zip_longest(*(batches for batches, _ in cut), fillvalue=()):
        mine = list(row[ranks.rank()])
        seen = any(map(_sees, row))
        needed = not mine or (seen and not _sees(mine))
        made.append(MicroBatch(mine, _filler(policy, seen) if needed else None))
    return made, sum(lost for _, lost in cut)


def planted(policy: Policy, batches: Sequence[MicroBatch]) -> Iterator[tuple[MicroBatch, Forest]]:
    """Each micro-batch with its forest. Beside a GPU a thread plants the next one, and reads its images, meanwhile; a
    CPU that computes would only be shared.

    Raises DataError in every process where one of them can't read an image.
    """
    each = map if policy.device.type == "cpu" else _one_ahead
    for batch, made in zip(batches, each(partial(_planted, policy), batches), strict=True):
        yield batch, _in_all(made)


def _one_ahead(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """As `map`, in a thread that is one item ahead."""
    with ThreadPoolExecutor(1) as thread:
        ahead: deque[Future[T]] = deque()
        for item in items:
            ahead.append(thread.submit(function, item))
            if len(ahead) > 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _planted(policy: Policy, batch: MicroBatch) -> Forest | DataError:
    try:
        return batch.planted(policy)
    except DataError as e:
        return e


def _in_all(made: Forest | DataError) -> Forest:
    """A forest, where every process has its own: one that left alone would be waited for."""
    errors = ranks.gather(str(made) if isinstance(made, DataError) else "")
    if isinstance(made, DataError) or any(errors):
        raise DataError(next(filter(None, errors)))
    return made


def in_order(trees: Sequence[Tree], values: list[Any]) -> list[Any]:
    """One value a branch, computed by each process for its own trees, in the order of all trees and branches."""
    found: dict[int, list[Any]] = {}
    for hand, part in zip(_hands(trees), ranks.gather(values), strict=True):
        left = iter(part)
        found |= {i: [next(left) for _ in trees[i].branches] for i in hand}
    return [value for i in range(len(trees)) for value in found[i]]


def _hands(trees: Sequence[Tree]) -> list[list[int]]:
    return deal([t.tokens for t in trees], ranks.processes())


def _sees(trees: Sequence[Tree]) -> bool:
    return any(t.prompt.pixels is not None for t in trees)


def _filler(policy: Policy, image: bool) -> Prompt:
    """Two tokens, or the smallest image there is: one token of it between its marks."""
    config = policy.base.config
    vision = config.vision_config
    if not image:
        return Prompt(
            torch.tensor([config.vision_start_token_id] * 2), torch.arange(2).expand(3, -1), None, None
        )
    ids = torch.tensor([config.vision_start_token_id, config.image_token_id, config.vision_end_token_id])
    side = vision.spatial_merge_size
    grid = torch.tensor([[1, side, side]])
    return Prompt(ids, torch.arange(3).expand(3, -1), torch.zeros(side * side, numbers(vision)), grid)
