"""Decoding for the engine on transformers: the keys and values of the groups in flight, and one token a row at a time.

Axes: P groups in flight, n completions of each, R = P * n rows, L trunk tokens (padded), C completion tokens, K
key/value heads, d head size, V vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from visreason.engine import Sampling
from visreason.engine.draw import sample
from visreason.errors import RunError
from visreason.model.attention import PATHS, Layout
from visreason.model.encode import Prompt
from visreason.model.forest import Tree, plant
from visreason.model.policy import Policy

PREFILL_TOKENS = 16384
GROW = 64
"""Completion positions added to the key/value store when it is full."""


@dataclass
class Row:
    """A completion while it is decoded; `column` is its number in the group."""

    column: int
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    done: str = ""


@dataclass
class Group:
    """A conversation in flight: its place in the answer, its prompt, its completions, and what they are drawn by."""

    place: int
    prompt: Prompt
    rows: list[Row]
    generator: torch.Generator


class Decoder:
    """Keys and values of the groups in flight, and one decoding step for all of them.

    `attend` is called by every language layer in place of attention: with the trunks' layout while prefilling, and one
    token a row while decoding. Rows stay rectangular (every group has the same number) until nothing waits; then the
    finished ones are dropped.
    """

    def __init__(self, policy: Policy, sampling: Sampling) -> None:
        self.policy, self.sampling = policy, sampling
        self.model = policy.base
        self.groups: list[Group] = []
        self.rows: list[list[Row]] = []
        self.layout: Layout | None = None
        self.longest = 0
        self.prefilled: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.trunk: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.own: list[tuple[torch.Tensor, torch.Tensor]] = []
        device = policy.device
        self.trunk_mask_PL = torch.zeros(0, 0, dtype=torch.bool, device=device)
        self.tokens_R = torch.zeros(0, dtype=torch.long, device=device)
        self.positions_R = torch.zeros(0, dtype=torch.long, device=device)
        self.lengths_R = torch.zeros(0, dtype=torch.long, device=device)
        self.banned = torch.tensor(policy.encoder.visual_ids, device=device)
        words = policy.base.config.get_text_config().vocab_size
        penalised = sampling.repetition_penalty != 1
        self.said_RV = torch.zeros(0, words, dtype=torch.bool, device=device) if penalised else None

    def admit(self, groups: Iterable[Group]) -> None:
        """Prefill new groups, as many at a time as `PREFILL_TOKENS` allow, and put them beside those in flight."""
        batch: list[Group] = []
        for group in groups:
            if batch and sum(len(g.prompt.ids) for g in [*batch, group]) > PREFILL_TOKENS:
                self._prefill(batch)
                batch = []
            batch.append(group)
        if batch:
            self._prefill(batch)

    def _prefill(self, groups: list[Group]) -> None:
        n, device = self.sampling.n, self.policy.device
        forest = plant([Tree(g.prompt, ()) for g in groups], self.policy.attention_path).to(device)
        lengths = [len(g.prompt.ids) - 1 for g in groups]
        self.layout, self.prefilled = forest.layout, []
        self._forward(
            forest.input_ids,
            forest.positions,
            pixel_values=forest.pixels,
            image_grid_thw=forest.grid_N3,
            mm_token_type_ids=(forest.input_ids == self.model.config.image_token_id).int(),
        )
        self.layout = None
        self._store_trunks(lengths)
        last = torch.tensor([int(g.prompt.ids[-1]) for g in groups], device=device).repeat_interleave(n)
        position = torch.tensor(
            [int(g.prompt.positions[0, -1]) for g in groups], device=device
        ).repeat_interleave(n)
        self.tokens_R = torch.cat([self.tokens_R, last])
        self.positions_R = torch.cat([self.positions_R, position])
        self.lengths_R = torch.cat([self.lengths_R, torch.zeros_like(last)])
        if self.said_RV is not None:
            fresh = self.said_RV.new_zeros(len(groups), self.said_RV.shape[1])
            for said_V, group in zip(fresh, groups, strict=True):
                said_V[group.prompt.ids.to(device)] = True
            self.said_RV = torch.cat([self.said_RV, fresh.repeat_interleave(n, 0)])
        for group in groups:  # or the pictures of all in flight would be held
            group.prompt = replace(group.prompt, pixels=None)
        self.groups += groups
        self.rows += [list(g.rows) for g in groups]

    def _store_trunks(self, lengths: list[int]) -> None:
        """Cut the prefilled row into trunks, pad them to the longest, and give each new row an empty store."""
        old, longest = self.trunk_mask_PL.shape[1], max([*lengths, self.trunk_mask_PL.shape[1]])
        mask = (
            torch.arange(longest, device=self.policy.device)
            < torch.tensor(lengths, device=self.policy.device)[:, None]
        )
        self.trunk_mask_PL = torch.cat([_pad(self.trunk_mask_PL, 1, longest - old), mask])
        trunk, own = [], []
        capacity = self.own[0][0].shape[2] if self.own else GROW
        for layer, pair in enumerate(self.prefilled):
            stacked = [
                torch.stack([_pad(s, 1, longest - s.shape[1]) for s in x[0].split(lengths, 1)]) for x in pair
            ]
            empty = [
                x.new_zeros(len(lengths) * self.sampling.n, x.shape[1], capacity, x.shape[3]) for x in stacked
            ]
            if self.trunk:
                stacked = [
                    torch.cat([_pad(a, 2, longest - old), b])
                    for a, b in zip(self.trunk[layer], stacked, strict=True)
                ]
                empty = [torch.cat([a, b]) for a, b in zip(self.own[layer], empty, strict=True)]
            trunk.append((stacked[0], stacked[1]))
            own.append((empty[0], empty[1]))
        self.trunk, self.own, self.prefilled = trunk, own, []

    def step(self, shrink: bool) -> list[Group]:
        """Sample one token a row; returns the groups that are complete, which leave."""
        if not self.groups:
            return []
        self.longest = int(self.lengths_R.max())
        if self.longest == self.own[0][0].shape[2]:
            self.own = [(_pad(k, 2, GROW), _pad(v, 2, GROW)) for k, v in self.own]
        hidden_RD = self._forward(self.tokens_R[:, None], self.positions_R[None, :, None].expand(3, -1, -1))[
            :, 0
        ]
        logits_RV = self.model.get_output_embeddings()(hidden_RD).float()
        if not torch.isfinite(logits_RV.sum()):
            raise RunError(
                "expected finite logits, found nan or inf: the model's weights have diverged; lower lr, or take an "
                "earlier checkpoint"
            )
        noise_RV = self._noise(logits_RV.shape[-1])
        ids_R, logps_R = sample(logits_RV, self.sampling, self.banned, noise_RV, self.said_RV)
        if self.said_RV is not None:
            self.said_RV.scatter_(1, ids_R[:, None], True)
        self.tokens_R, self.positions_R, self.lengths_R = ids_R, self.positions_R + 1, self.lengths_R + 1
        eos = self.policy.encoder.eos_ids
        for row, token, logp in zip(
            (r for g in self.rows for r in g), ids_R.tolist(), logps_R.tolist(), strict=True
        ):
            if row.done:
                continue
            row.ids.append(token)
            row.logps.append(logp)
            row.done = (
                "stop" if token in eos else "length" if len(row.ids) >= self.sampling.max_tokens else ""
            )
        return self._retire(shrink)

    def _noise(self, words: int) -> torch.Tensor | None:
        """Exponential numbers (R, V) to draw with, each group's from its own generator; none where nothing is drawn."""
        if self.sampling.temperature == 0:
            return None
        noise = []
        for group, rows in zip(self.groups, self.rows, strict=True):
            drawn_nV = torch.empty(self.sampling.n, words, device=self.policy.device)
            drawn_nV.exponential_(generator=group.generator)
            noise.append(drawn_nV[[r.column for r in rows]])
        return torch.cat(noise)

    def _retire(self, shrink: bool) -> list[Group]:
        finished = [i for i, rows in enumerate(self.rows) if all(r.done for r in rows)]
        left = [i for i in range(len(self.groups)) if i not in set(finished)]
        done = [self.groups[i] for i in finished]
        width = len(self.rows[0])
        narrow = max((sum(not r.done for r in self.rows[i]) for i in left), default=0) if shrink else width
        if not finished and narrow > 0.75 * width:
            return []
        narrow = narrow if narrow <= 0.75 * width else width
        # The unfinished rows of a group come first; those past the narrow width are finished in every group.
        keep = [sorted(range(width), key=lambda j, i=i: bool(self.rows[i][j].done))[:narrow] for i in left]
        self.rows = [[self.rows[i][j] for j in columns] for i, columns in zip(left, keep, strict=True)]
        self.groups = [self.groups[i] for i in left]
        rows = torch.tensor(
            [i * width + j for i, c in zip(left, keep, strict=True) for j in c], dtype=torch.long
        )
        self._select(torch.tensor(left, dtype=torch.long).to(self.policy.device), rows.to(self.policy.device))
        return done

    def _select(self, groups: torch.Tensor, rows: torch.Tensor) -> None:
        self.tokens_R, self.positions_R = self.tokens_R[rows], self.positions_R[rows]
        self.lengths_R = self.lengths_R[rows]
        self.said_RV = None if self.said_RV is None else self.said_RV[rows]
        self.own = [(k[rows], v[rows]) for k, v in self.own]
        if len(groups) != len(self.trunk_mask_PL):
            self.trunk_mask_PL = self.trunk_mask_PL[groups]
            self.trunk = [(k[groups], v[groups]) for k, v in self.trunk]

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, **visual: Any) -> torch.Tensor:
        out = self.model.model(input_ids=ids, position_ids=positions, use_cache=False, forest=self, **visual)
        return out.last_hidden_state

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None
    ) -> torch.Tensor:
        """Attention of one layer: q (R, H, 1, d) to (R, 1, H, d), or while prefilling (1, H, T, d) to (1, T, H, d)."""
        if self.layout is not None:
            self.prefilled.append((k, v))
            return PATHS[self.layout.path](q, k, v, self.layout, scale)
        return self._attend_row(layer, q, k, v, scale or q.shape[-1] ** -0.5)

    def _attend_row(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float
    ) -> torch.Tensor:
        R, H, _, d = q.shape
        P, K = len(self.groups), k.shape[1]
        n, share = R // P, H // K
        own_k, own_v = self.own[layer]
        rows = torch.arange(R, device=q.device)
        own_k[rows, :, self.lengths_R], own_v[rows, :, self.lengths_R] = k[:, :, 0], v[:, :, 0]
        C = self.longest + 1
        own_k, own_v = own_k[:, :, :C], own_v[:, :, :C]
        trunk_k, trunk_v = self.trunk[layer]
        L = trunk_k.shape[2]
        q = (q * scale).view(R, K, share, d)
        grouped = q.view(P, n, K, share, d).transpose(1, 2).reshape(P, K, n * share, d)
        to_trunk = (grouped @ trunk_k.transpose(-1, -2)).masked_fill(
            ~self.trunk_mask_PL[:, None, None], -torch.inf
        )
        to_trunk = to_trunk.view(P, K, n, share, L).transpose(1, 2).reshape(R, K, share, L)
        future_RC = torch.arange(C, device=q.device) > self.lengths_R[:, None]
        to_own = (q @ own_k.transpose(-1, -2)).masked_fill(future_RC[:, None, None], -torch.inf)
        weights = torch.cat([to_trunk, to_own], -1).softmax(-1, dtype=torch.float32).to(q.dtype)
        from_trunk = (
            weights[..., :L].reshape(P, n, K, share, L).transpose(1, 2).reshape(P, K, n * share, L) @ trunk_v
        )
        from_trunk = from_trunk.view(P, K, n, share, d).transpose(1, 2).reshape(R, K, share, d)
        return (from_trunk + weights[..., L:] @ own_v).reshape(R, 1, H, d)


def _pad(x: torch.Tensor, dim: int, n: int) -> torch.Tensor:
    """Zeros (or False) appended along a dimension."""
    if n == 0:
        return x
    shape = list(x.shape)
    shape[dim] = n
    return torch.cat([x, x.new_zeros(shape)], dim)
