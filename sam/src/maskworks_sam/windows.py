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
        count: how many windows an image has.
        rows: rows of a window.
        columns: columns of a window; L = rows x columns.
    """

    _spread: Tensor  # (3, 1, count heads L) int64
    _collect: Tensor  # (1, tokens heads) int64
    _padding: int  # from here on an index of `_spread` means the padding
    count: int
    rows: int
    columns: int

    def spread(self, images: int) -> Tensor:
        """From (images tokens + 1) x 3 x heads vectors, the last token being the padding, to the operands of attention.

        That is, for queries, keys and values, for each image, window and head, the vectors of L tokens, row by row.
        """
        first = torch.arange(images, device=self._spread.device).view(1, -1, 1) * self._padding
        padding = self._spread + (images - 1) * self._padding
        return torch.where(self._spread >= self._padding, padding, self._spread + first).flatten()

    def collect(self, images: int) -> Tensor:
        """From the images x count x heads x L vectors that attention returns to the tokens of the images in order."""
        vectors = self._spread.shape[2]
        return (self._collect + torch.arange(images, device=self._collect.device).view(-1, 1) * vectors).flatten()

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
        return cls(
            spread.reshape(3, 1, -1).to(device),
            collect[:-1].reshape(1, -1).to(device),
            height * width * 3 * heads,
            len(tokens),
            rows,
            columns,
        )
