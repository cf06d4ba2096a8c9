"""The forest: trees of one prompt (trunk) and its completions (branches), packed in one row without padding.

The trunk is prompt[:-1] and every branch starts with a copy of prompt[-1], so a branch position predicts the completion
token at the same place, image tokens occur once per prompt, and the vision tower runs once per prompt.
Axes: T row tokens, S branch tokens of the whole forest, B branches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch

from visreason.model.attention import AttentionPath, Layout
from visreason.model.encode import Prompt


@dataclass(frozen=True)
class Branch:
    """A completion: token ids (C,), and the numbers of each token that the loss needs (weights, advantages), (C,)."""

    ids: torch.Tensor
    weights: torch.Tensor
    fields: dict[str, torch.Tensor] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Tree:
    """A prompt and its completions."""

    prompt: Prompt
    branches: tuple[Branch, ...]

    @property
    def tokens(self) -> int:
        """Tokens of its row: the trunk's once, and every branch's."""
        return len(self.prompt.ids) - 1 + sum(len(b.ids) for b in self.branches)


@dataclass(frozen=True)
class Forest:
    """One packed row.

    input_ids (1, T) and positions (3, 1, T) of the row; pixels (patches, values) and grid_N3 (N, 3) of its images, or
    None; branch_S (S,) where the branch tokens stand in the row; targets_S (S,) the token each of them predicts,
    weights_S (S,) and every field (S,) its numbers for the loss; branch_of_S (S,) its branch, 0 to B-1; lengths_B (B,)
    and names (B) of the branches.
    """

    input_ids: torch.Tensor
    positions: torch.Tensor
    pixels: torch.Tensor | None
    grid_N3: torch.Tensor | None
    layout: Layout
    branch_S: torch.Tensor
    targets_S: torch.Tensor
    weights_S: torch.Tensor
    branch_of_S: torch.Tensor
    fields: dict[str, torch.Tensor]
    lengths_B: torch.Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "Forest":
        """The forest on a device, its layout's tables too."""
        move = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        fields = {k: v.to(device) for k, v in self.fields.items()}
        return replace(self, **move, fields=fields, layout=replace(self.layout, device=device))


def plant(trees: Sequence[Tree], path: AttentionPath = "segments", read: bool = True) -> Forest:
    """Pack trees into one row, on the CPU, and read their images; not without `read`, for what no model sees.

    Raises DataError for an image that can't be read.
    """
    ids, positions, targets, index, layout = [], [], [], [], []
    start = 0
    for tree in trees:
        prompt = tree.prompt
        trunk = len(prompt.ids) - 1
        ids.append(prompt.ids[:-1])
        positions.append(prompt.positions[:, :-1])
        start += trunk
        for branch in tree.branches:
            n = len(branch.ids)
            ids += [prompt.ids[-1:], branch.ids[:-1]]
            positions.append(prompt.positions[:, -1:] + torch.arange(n))
            targets.append(branch.ids)
            index.append(torch.arange(start, start + n))
            start += n
        layout.append((trunk, tuple(len(b.ids) for b in tree.branches)))
    branches = [b for t in trees for b in t.branches]
    lengths_B = torch.tensor([len(b.ids) for b in branches], dtype=torch.long)
    names = {k for b in branches for k in b.fields}
    return Forest(
        input_ids=torch.cat(ids)[None],
        positions=torch.cat(positions, 1)[:, None],
        pixels=_cat(t.prompt.read() for t in trees) if read else None,
        grid_N3=_cat(t.prompt.grid_N3 for t in trees),
        layout=Layout(tuple(layout), path),
        branch_S=torch.cat(index) if index else torch.empty(0, dtype=torch.long),
        targets_S=torch.cat(targets) if targets else torch.empty(0, dtype=torch.long),
        weights_S=torch.cat([b.weights for b in branches]) if branches else torch.empty(0),
        branch_of_S=torch.repeat_interleave(torch.arange(len(branches)), lengths_B),
        fields={k: torch.cat([b.fields[k] for b in branches]) for k in sorted(names)},
        lengths_B=lengths_B,
        names=tuple(b.name for b in branches),
    )


def micro_batches(
    trees: Sequence[Tree], budget: int, share: bool = True, whole: bool = False
) -> tuple[list[list[Tree]], int]:
    """Trees in lists of at most `budget` row tokens, whole groups together; and the tokens that splitting cost.

    Trees are taken in order. A tree over the budget is split between its branches, and each piece repeats the trunk:
    that is the second number; with `whole` it stands alone, as a single branch over the budget does. With `share`
    false every completion is a tree of its own in a list of its own, for models whose attention can't share a trunk.
    """
    if not share:
        pieces = [Tree(t.prompt, (b,)) for t in trees for b in t.branches]
        return [[p] for p in pieces], sum((len(t.branches) - 1) * (len(t.prompt.ids) - 1) for t in trees)
    pieces, lost = [], 0
    for tree in trees:
        parts = [tree] if whole else _split(tree, budget)
        lost += (len(parts) - 1) * (len(tree.prompt.ids) - 1)
        pieces += parts
    batches: list[list[Tree]] = []
    used = budget + 1
    for piece in pieces:
        if used + piece.tokens > budget:
            batches.append([])
            used = 0
        batches[-1].append(piece)
        used += piece.tokens
    return batches, lost


def _split(tree: Tree, budget: int) -> list[Tree]:
    if tree.tokens <= budget or len(tree.branches) <= 1:
        return [tree]
    trunk = len(tree.prompt.ids) - 1
    parts: list[list[Branch]] = []
    used = budget + 1
    for branch in tree.branches:
        if used + len(branch.ids) > budget:
            parts.append([])
            used = trunk
        parts[-1].append(branch)
        used += len(branch.ids)
    return [Tree(tree.prompt, tuple(p)) for p in parts]


def _cat(tensors: Iterable[torch.Tensor | None]) -> torch.Tensor | None:
    found = [t for t in tensors if t is not None]
    return torch.cat(found) if found else None
