"""Attention with SAM's decomposed relative positions, without the matrix of all scores in memory.

The score of a query at (h, w) and a key at (k, l) is `scale * q.k + q.Rh[h, k] + q.Rw[w, l]` (Li et al., "MViTv2",
2022, equation 4). The two functions here compute the same; which one is fast depends on the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from maskworks_torch.cpu_operators.threads import each

# So many scores stay in the cache of a core.
_BLOCK_BYTES = 4 * 2**20


def relative_table(table: Tensor, size: int) -> Tensor:
    """The embedding of every distance as (size, size, d): entry [i, j] is that of query i and key j.

    Args:
        table: (2 size - 1, d), from the largest negative distance to the largest positive one.
        size: number of rows or columns.
    """
    if len(table) != 2 * size - 1:
        raise ValueError(f"{len(table)} relative positions for a side of {size}; expected {2 * size - 1}")
    steps = torch.arange(size, device=table.device)
    return table[steps[:, None] - steps[None, :] + size - 1]


def relative_scores(q: Tensor, rel_h: Tensor, rel_w: Tensor) -> tuple[Tensor, Tensor]:
    """Positional scores of q (B, L, d): (B, L, H) by the key's row and (B, L, W) by its column.

    Args:
        q: queries; L = H x W, row by row.
        rel_h: (H, H, d) of `relative_table`.
        rel_w: (W, W, d).
    """
    grid = q.view(len(q), len(rel_h), len(rel_w), -1)
    by_row = torch.einsum("bhwc,hkc->bhwk", grid, rel_h)
    by_column = torch.einsum("bhwc,wkc->bhwk", grid, rel_w)
    return by_row.flatten(1, 2), by_column.flatten(1, 2)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    """For GPUs: one call of a fused kernel, with the positions as further channels.

    A query is followed by its scores for each row and each column, a key by two unit vectors that pick those of its own
    row and column. So the sum of the three terms is one dot product, of d + H + W channels.

    Args:
        q, k, v: (B, L, d), contiguous.
        rel_h, rel_w: (H, H, d) and (W, W, d) of `relative_table`; L = H x W.

    Returns:
        (B, L, d), contiguous.
    """
    rows, columns, size = len(rel_h), len(rel_w), q.shape[-1]
    by_row, by_column = relative_scores(q, rel_h, rel_w)
    eye_h = torch.eye(rows, dtype=k.dtype, device=k.device).repeat_interleave(columns, 0)
    eye_w = torch.eye(columns, dtype=k.dtype, device=k.device).repeat(rows, 1)
    places = torch.cat([eye_h, eye_w], 1).expand(len(k), -1, -1)
    # The fastest kernels want the three to have the same number of channels, a multiple of 8.
    total = -(-(size + rows + columns) // 8) * 8
    rest = (0, total - size - rows - columns)
    queries = F.pad(torch.cat([q * size**-0.5, by_row, by_column], -1), rest)
    keys = F.pad(torch.cat([k, places], -1), rest)
    values = F.pad(v, (0, total - size))
    mixed = F.scaled_dot_product_attention(queries[None], keys[None], values[None], scale=1.0)
    return mixed[0, ..., :size].contiguous()


def blockwise_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    """For CPUs: each thread takes a few queries at a time, so that their scores stay in its cache.

    In float32 the positions are written first and the products added to them by the matrix multiplication itself. In
    other types the fused kernel gets the positions as a float32 mask, so scores are never rounded to 8 bits.

    Arguments and result are those of `fused_attention`.
    """
    by_row, by_column = relative_scores(q.float(), rel_h, rel_w)
    out = torch.empty_like(q)

    def attend(block: tuple[slice, slice]) -> None:
        heads, queries = block
        scores = (by_row[heads, queries, :, None] + by_column[heads, queries, None, :]).flatten(2)
        _attend(q[heads, queries], k[heads], v[heads], scores, out[heads, queries])

    each(attend, list(_blocks(len(q), q.shape[1])))
    return out


def _attend(q: Tensor, k: Tensor, v: Tensor, scores: Tensor, out: Tensor) -> None:
    """Attention of q (b, m, d) into `out`, given positional scores in `scores`, which is overwritten."""
    if q.dtype == torch.float32:
        scores.baddbmm_(q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
        torch.softmax(scores, -1, out=scores)
        torch.bmm(scores, v, out=out)
    else:
        out.copy_(F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=scores[None])[0])


def _blocks(count: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Ranges of heads and of their queries, each with about `_BLOCK_BYTES` of scores."""
    queries = min(length, max(1, _BLOCK_BYTES // (4 * length)))
    heads = max(1, _BLOCK_BYTES // (4 * length * queries))
    for first in range(0, count, heads):
        for query in range(0, length, queries):
            yield slice(first, min(first + heads, count)), slice(query, min(query + queries, length))
