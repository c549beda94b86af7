"""Which token belongs to which window, as tables: moving tokens there and back is one copy each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Windows:
    """Tables of the heads' places in a grid of tokens that is cut into square windows.

    A window that reaches beyond the grid is filled up with a padding token; see `Block` for what that holds.

    Attributes:
        spread: (3 B heads L,) int64. From (tokens + 1) x 3 x heads vectors, the last token being the padding, to
            queries, keys and values of the heads of each window; B windows of L tokens, row by row.
        collect: (tokens heads,) int64. From the B x heads x L vectors that attention returns to the tokens in order.
        count: B.
        rows: rows of a window.
        columns: columns of a window; L = rows x columns.
    """

    spread: Tensor
    collect: Tensor
    count: int
    rows: int
    columns: int

    @classmethod
    def cut(cls, grid: tuple[int, int], window: int, heads: int, device: str) -> Windows:
        """The tables for a grid of (rows, columns); a window of 0 is the whole grid."""
        height, width = grid
        rows, columns = (window, window) if window else grid
        down, across = -(-height // rows), -(-width // columns)
        tokens = torch.full((down * rows, across * columns), height * width)
        tokens[:height, :width] = torch.arange(height * width).view(grid)
        tokens = tokens.view(down, rows, across, columns).transpose(1, 2).reshape(-1, 1, rows * columns)
        parts = torch.arange(3).view(3, 1, 1, 1) * heads + torch.arange(heads).view(1, heads, 1)
        spread = tokens * 3 * heads + parts

        places = torch.arange(tokens.numel() * heads).view(len(tokens), heads, -1)
        collect = torch.empty(height * width + 1, heads, dtype=torch.int64)
        collect[tokens.expand_as(places), torch.arange(heads).view(heads, 1).expand_as(places)] = places
        return cls(spread.flatten().to(device), collect[:-1].flatten().to(device), len(tokens), rows, columns)
