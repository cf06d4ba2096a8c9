"""Attention of a forest: each branch sees its own trunk and, causally, itself. Three paths, one result.

Registered through transformers' public interface under `NAME`; without a layout it is transformers' own SDPA, so one
model serves training, plain forwards and decoding. Shapes: H query heads, K key/value heads, T row tokens, d head size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from itertools import groupby
from typing import Any, Literal

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "visreason"
AttentionPath = Literal["varlen", "segments", "dense"]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Layout:
    """Where the trees of one row lie: per tree its trunk's tokens and each branch's tokens, in row order.

    >>> Layout(trees=((3, (2, 2)), (2, ())), path="segments").tokens
    9
    """

    trees: tuple[tuple[int, tuple[int, ...]], ...]
    path: AttentionPath
    device: torch.device = CPU

    @property
    def tokens(self) -> int:
        """Tokens of the whole row."""
        return sum(trunk + sum(branches) for trunk, branches in self.trees)

    def segments(self) -> Iterator[tuple[int, int, int, int]]:
        """(first query, queries, first token of the shared trunk, its tokens) of each causal run of tokens.

        The first branch of a tree with one branch continues its trunk, so the two are one segment.
        """
        start = 0
        for trunk, branches in self.trees:
            if len(branches) == 1:
                yield start, trunk + branches[0], start, 0
                start += trunk + branches[0]
                continue
            root = start
            if trunk:
                yield root, trunk, root, 0
            start += trunk
            for tokens in branches:
                yield start, tokens, root, trunk
                start += tokens

    @cached_property
    def mask(self) -> torch.Tensor:
        """(1, 1, T, T) boolean, true where a query may look: the plain statement of what the other paths compute."""
        mask = torch.zeros(self.tokens, self.tokens, dtype=torch.bool)
        for first, n, root, trunk in self.segments():
            mask[first : first + n, first : first + n] = torch.ones(n, n, dtype=torch.bool).tril()
            mask[first : first + n, root : root + trunk] = True
        return mask[None, None].to(self.device)

    @cached_property
    def runs(self) -> list[tuple[int, list[int]]]:
        """Neighbouring segments with one trunk: its tokens (0 for what shares none) and theirs, in row order.

        >>> Layout(trees=((3, (2, 2)), (2, (4,))), path="segments").runs
        [(0, [3]), (3, [2, 2]), (0, [6])]
        """
        by_trunk = groupby(self.segments(), key=lambda segment: segment[2:])
        return [(trunk, [n for _, n, _, _ in group]) for (_, trunk), group in by_trunk]

    def branch_mask(self, trunk: int, n: int) -> torch.Tensor:
        """(n, trunk + n) boolean, causal from the bottom right: the mask of a branch on its trunk and itself."""
        return torch.ones(n, trunk + n, dtype=torch.bool, device=self.device).tril(trunk)

    @cached_property
    def varlen(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
        """Key gather index, cumulative query and key lengths (int32), longest query and key segment."""
        index, queries, keys = [], [0], [0]
        for first, n, root, trunk in self.segments():
            index += [torch.arange(root, root + trunk), torch.arange(first, first + n)]
            queries.append(queries[-1] + n)
            keys.append(keys[-1] + trunk + n)
        lengths = [torch.tensor(c, dtype=torch.int32, device=self.device) for c in (queries, keys)]
        longest = [int(c.diff().max()) for c in lengths]
        return torch.cat(index).to(self.device), lengths[0], lengths[1], longest[0], longest[1]


def forest_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    forest: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function of every language layer. `forest` is a Layout, a decoder's state, or None.

    query (B, H, T, d), key and value (B, K, T, d); returns (B, T, H, d). A decoder's state answers for itself through
    its `attend`, since it keeps the keys and values of what came before.
    """
    if forest is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    query, key = (
        query.to(value.dtype),
        key.to(value.dtype),
    )  # under autocast the rotation leaves them in float32
    if isinstance(forest, Layout):
        return PATHS[forest.path](query, key, value, forest, scaling), None
    return forest.attend(module.layer_idx, query, key, value, scaling), None


def dense(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: Layout, scale: float | None
) -> torch.Tensor:
    """One masked SDPA over the whole row: the oracle of the tests."""
    k, v = _repeat(k, q), _repeat(v, q)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=layout.mask, scale=scale).transpose(1, 2)


def segments(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    layout: Layout,
    scale: float | None,
    together: bool | None = None,
) -> torch.Tensor:
    """One SDPA per segment: nothing is padded and no key outside the segment is touched. What the CPU takes, and a GPU
    in float32. `together` all branches of a tree look at their trunk in one call, which is how it is on the CPU."""
    together = q.device.type == "cpu" if together is None else together
    k, v = _repeat(k, q), _repeat(v, q)
    # Split once: its backward is one concatenation, where a slice's would fill a whole row with zeros each time.
    pieces = [x.split([sum(lengths) for _, lengths in layout.runs], 2) for x in (q, k, v)]
    out, root = [], (k, v)
    for (trunk, lengths), q_, k_, v_ in zip(layout.runs, *pieces, strict=True):
        if trunk == 0:
            root = (k_, v_)
            parts = zip(*(x.split(lengths, 2) for x in (q_, k_, v_)), strict=True)
            out += [F.scaled_dot_product_attention(*x, is_causal=True, scale=scale) for x in parts]
        elif together:
            out.append(_Branches.apply(q_, k_, v_, *root, lengths, scale))
        else:
            for q_b, k_b, v_b in zip(*(x.split(lengths, 2) for x in (q_, k_, v_)), strict=True):
                keys, values = (torch.cat(x, 2) for x in zip(root, (k_b, v_b), strict=True))
                mask = layout.branch_mask(trunk, q_b.shape[2])
                out.append(F.scaled_dot_product_attention(q_b, keys, values, attn_mask=mask, scale=scale))
    return torch.cat(out, 2).transpose(1, 2)


class _Branches(torch.autograd.Function):
    """Branches of one tree, of `lengths`, in two parts: all of them on their trunk, and each causally on itself. The
    parts are put together by their log-sum-exps (FlashAttention, arXiv 2205.14135, section 3.1), and since
    each part's backward takes the sum of both, their gradients add up to the exact one.

    q, k, v (1, H, S, d) of the branches, root_k and root_v (1, H, T, d) of the trunk; returns (1, H, S, d).
    """

    @staticmethod
    def forward(ctx: Any, q, k, v, root_k, root_v, lengths, scale):  # type: ignore[override]
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out, lse = flash(q, root_k, root_v, scale=scale)
        parts = zip(*(x.split(lengths, 2) for x in (q, k, v)), strict=True)
        own = [flash(*x, is_causal=True, scale=scale) for x in parts]
        own_out, own_lse = (torch.cat(x, 2) for x in zip(*own, strict=True))
        both = torch.logaddexp(lse, own_lse)
        out = out * (lse - both).exp()[..., None] + own_out * (own_lse - both).exp()[..., None]
        out = out.to(v.dtype)
        ctx.save_for_backward(q, k, v, root_k, root_v, out, both)
        ctx.lengths, ctx.scale = lengths, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad):  # type: ignore[override]
        q, k, v, root_k, root_v, out, lse = ctx.saved_tensors
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        grad_q, *root = flash(grad, q, root_k, root_v, out, lse, 0.0, False, scale=ctx.scale)
        parts = zip(*(x.split(ctx.lengths, 2) for x in (grad, q, k, v, out, lse)), strict=True)
        own = [flash(*x, 0.0, True, scale=ctx.scale) for x in parts]
        own_q, own_k, own_v = (torch.cat(x, 2) for x in zip(*own, strict=True))
        return grad_q + own_q, own_k, own_v, *root, None, None


def varlen(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: Layout, scale: float | None
) -> torch.Tensor:
    """One FlashAttention call with asymmetric lengths, causal from the bottom right. The path of the GPU."""
    from torch.nn.attention.varlen import varlen_attn

    index, cu_q, cu_k, max_q, max_k = layout.varlen
    grouped = {"enable_gqa": True} if k.shape[1] != q.shape[1] else {}
    if (
        "enable_gqa" not in signature(varlen_attn).parameters
    ):  # torch 2.11 wants as many key heads as query heads
        k, v, grouped = _repeat(k, q), _repeat(v, q), {}
    out = varlen_attn(
        q[0].transpose(0, 1),
        k[0, :, index].transpose(0, 1),
        v[0, :, index].transpose(0, 1),
        cu_q,
        cu_k,
        max_q,
        max_k,
        scale=scale,
        window_size=(-1, 0),
        **grouped,
    )
    return out[None]


PATHS = {"varlen": varlen, "segments": segments, "dense": dense}


def default_path(device: torch.device, dtype: torch.dtype) -> AttentionPath:
    """FlashAttention needs a GPU and 16-bit numbers; everything else takes the segments."""
    return "varlen" if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16) else "segments"


def install(model: torch.nn.Module) -> None:
    """Make a transformers model's language layers use `forest_attention`; its vision tower keeps SDPA."""
    model.set_attn_implementation({"text_config": NAME})  # type: ignore[operator]


def _repeat(x: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Key or value heads repeated to the query's heads: (1, K, T, d) to (1, H, T, d)."""
    return x.repeat_interleave(q.shape[1] // x.shape[1], 1) if q.shape[1] != x.shape[1] else x


AttentionInterface.register(NAME, forest_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
