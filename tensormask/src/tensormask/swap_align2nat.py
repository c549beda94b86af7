"""swap_align2nat: whole masks of chosen windows from the aligned representation (paper, sections 3.3 to 3.6).

In the aligned representation X, X[v, u] at feature pixel (y, x) is the mask value of that very pixel, for the window in
which it lies at (v, u). The natural representation Y has at (y, x) the whole mask of the window around (y, x). With
equal units they are related by Y[v, u, y, x] = X[v, u, y + v, x + u] (Eq. 1, align2nat; v and u count from the window's
middle). For windows of a coarser level, whose masks are lambda times finer than X's (V, U) and whose places are lambda
times coarser than X's (H, W), X is interpolated along all four axes: up_align2nat and then a subsampling, together
swap_align2nat. With V' = lambda V and rows v = 0 ... V' - 1 of the mask (columns alike):

    Y[v, u, y, x] = X[o(v), o(u), lambda y + v - V'/2 + 1/2, lambda x + u - V'/2 + 1/2],   o(v) = (v + 1/2)/lambda - 1/2

and X is -6 beyond its ends. So X + 6 is 0 there, and its interpolation is linear without exceptions. X is a 1x1
convolution of features, X[v, u] + 6 = W[v, u] g + b[v, u] + 6, so the interpolation along (V, U) can be made of the
weights and that along (H, W) of the features: neither X (89 MiB for each level of an image of 800 x 1344 pixels) nor Y
(551 MiB) is ever there. Only windows that are asked for, and of them only what lies in the image, are computed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from tensormask.region import Region, whole

OUTSIDE = -6.0
_CHUNK = 4 * 1024 * 1024  # values of features that are gathered at a time


class AlignedMasks:
    """Masks in the aligned representation, not computed yet.

    A mask is computed in cells of lambda x lambda pixels between the centres of four neighbours (v, u), so that all
    pixels of a cell are made of the same four rows of W; with lambda = 1 a cell is a pixel and has one row of W.

    Args:
        features: with lambda = 1 (N, C, h, w), the region `origin` of features (N, C, H, W), which has all pixels that
            the windows touch. Else (N, C, h + 1, w + 1), the means of four neighbours of that region, where pixels
            beyond it count as 0: places of mask pixels are then in the middle between four pixels.
        weight, bias: (V V, C) and (V V,), row v V + u for mask value (v, u).
        scale: lambda, 1 or even.
        origin: where the features lie.
        size: (H, W).
    """

    def __init__(
        self, features: Tensor, weight: Tensor, bias: Tensor, scale: int, origin: Region, size: tuple[int, int]
    ) -> None:
        self._scale, self._origin, self._size = scale, origin, size
        self._v = round(weight.shape[0] ** 0.5)
        self._between = (scale * self._v) % 2 == 0
        if self._between and scale == 1:
            features = means_of_four(features)
        self._map_size = whole(features).size
        self._rows = features.permute(0, 2, 3, 1).flatten(0, 2)
        kernels = torch.cat([weight.float(), (bias.float() - OUTSIDE)[:, None]], 1).view(self._v, self._v, -1)
        cells = _corners(kernels) if scale > 1 else kernels[..., None]
        self._weight, self._bias = cells[:, :, :-1].to(features.dtype), cells[:, :, -1]
        self._blend = _blend(scale, weight.device)

    def at(self, image: Tensor, y: Tensor, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The masks of the windows at these places, int64 (n,) each, a few at a time.

        Yields:
            Which of the windows, and their logits, float32 (m, lambda V, lambda V), in order.
        """
        values = self._rows.shape[1] * min((self._v * self._scale) ** 2, self._map_size[0] * self._map_size[1])
        step = max(1, _CHUNK // values)
        for start in range(0, len(y), step):
            chosen = slice(start, start + step)
            yield chosen, self._masks(image[chosen], y[chosen], x[chosen])

    def _masks(self, image: Tensor, y: Tensor, x: Tensor) -> Tensor:
        cells, scale = self._weight.shape[0], self._scale
        height, width = self._map_size
        rows, row_share = self._axis(y, self._size[0], self._origin.top, height)
        columns, column_share = self._axis(x, self._size[1], self._origin.left, width)
        top, bottom = _used(row_share)
        left, right = _used(column_share)
        result = row_share.new_zeros(cells, cells, len(y), scale, scale)
        step = max(1, _CHUNK // max(1, (right - left) * len(y) * scale**2 * self._rows.shape[1]))
        base = (image * (height * width))[:, None, None]
        for start in range(top, bottom, step):
            part = slice(start, min(start + step, bottom)), slice(left, right)
            index = base + rows[part[0], None, :, :, None] * width + columns[None, part[1], :, None, :]
            g = self._rows[index.flatten()].view(-1, len(y) * scale**2, self._rows.shape[1])
            products = torch.bmm(g, self._weight[part].flatten(0, 1)).float().view(*index.shape, -1)
            share = row_share[part[0], None, :, :, None] * column_share[None, part[1], :, None, :]
            value = products * (share > 0)[..., None] + self._bias[part][:, :, None, None, None] * share[..., None]
            result[part] = (value * self._blend).sum(-1)
        masks = result.permute(2, 0, 3, 1, 4).reshape(len(y), cells * scale, cells * scale) + OUTSIDE
        margin = scale // 2 if scale > 1 else 0
        return masks[:, margin : margin + self._v * scale, margin : margin + self._v * scale]

    def _axis(self, at: Tensor, size: int, origin: int, length: int) -> tuple[Tensor, Tensor]:
        """For windows at `at`, (cells, n, lambda) each: the place in the map, and how much of it is in the image."""
        cells, scale = self._weight.shape[0], self._scale
        pixel = torch.arange(cells * scale, device=at.device).view(cells, 1, scale) - (scale // 2 if scale > 1 else 0)
        place = scale * at[:, None] + pixel - (self._v * scale - 1) // 2
        share = ((place >= 0) & (place < size)).float()
        if self._between:  # a place is the middle between the pixels before it and at it
            share = (share + ((place >= 1) & (place <= size))) / 2
        share = share * ((pixel >= 0) & (pixel < self._v * scale))
        return (place - origin).clamp(0, length - 1), share


def means_of_four(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, h + 1, w + 1): value (y, x) is that of pixels y - 1 and y, x - 1 and x, 0 outside."""
    return F.avg_pool2d(features, 2, stride=1, padding=1)


def _corners(kernels: Tensor) -> Tensor:
    """(V, V, C) -> (V + 1, V + 1, C, 4): around each cell its four kernels, 0 beyond the ends."""
    padded = F.pad(kernels, (0, 0, 1, 1, 1, 1))
    return torch.stack([padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]], -1)


def _blend(scale: int, device: torch.device) -> Tensor:
    """(lambda, lambda, corners): the shares of the corners in each pixel of a cell."""
    if scale == 1:
        return torch.ones(1, 1, 1, device=device)
    far = (torch.arange(scale, device=device) + 0.5) / scale
    both = torch.stack([1 - far, far], 1)
    return (both[:, None, :, None] * both[None, :, None, :]).flatten(2)


def _used(share: Tensor) -> tuple[int, int]:
    """First and last cell, without the last, of which any window has something in the image."""
    used = (share > 0).flatten(1).any(1).nonzero()
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
