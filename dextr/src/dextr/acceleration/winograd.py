"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. Each tile of 4x4 results Y comes from a
tile d of 6x6 values and a kernel g as Y = A' [(G g G') * (B' d B)] A, where * multiplies element by element and, with
many channels, becomes one matrix product per element of the 6x6 tile. Rounding costs about one decimal digit against
the direct sum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def pays_off(conv: nn.Conv2d) -> bool:
    """Whether the saved multiplications (channels in times out) outweigh the transforms (channels in plus out)."""
    three_by_three = (conv.kernel_size, conv.padding) == ((3, 3), (1, 1))
    plain = (conv.stride, conv.dilation, conv.groups) == ((1, 1), (1, 1), 1)
    return (
        three_by_three and plain and conv.in_channels * conv.out_channels >= 64 * (conv.in_channels + conv.out_channels)
    )


class WinogradConv(nn.Module):
    """conv(x), with ReLU if asked for, of a 3x3 convolution of stride 1 and padding 1. float32, on the CPU."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        out_channels, in_channels = conv.weight.shape[:2]
        g = torch.tensor(_G, dtype=torch.float64)
        transform = torch.kron(g, g).float()  # (36, 9): G g G' as one product over the flattened kernel
        kernels = transform @ conv.weight.detach().reshape(-1, 9).t()
        self.kernels = kernels.view(36, out_channels, in_channels).transpose(1, 2).contiguous()
        self.bias = torch.zeros(out_channels) if conv.bias is None else conv.bias.detach()
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) -> (N, C', h, w), both channels last."""
        n, c, h, w = x.shape
        rows, columns = -(-h // 4), -(-w // 4)
        out_channels = self.kernels.shape[2]
        d = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 4 * columns - w + 1, 1, 4 * rows - h + 1))
        half = d.new_empty(6, n, rows, 4 * columns + 2, c)
        _transform_input([d[:, i : i + 4 * rows - 3 : 4] for i in range(6)], list(half))
        tiles = d.new_empty(6, 6, n, rows, columns, c)
        _transform_input([half[:, :, :, i : i + 4 * columns - 3 : 4] for i in range(6)], list(tiles.unbind(1)))
        products = torch.bmm(tiles.view(36, -1, c), self.kernels).view(6, 6, n, rows, columns, out_channels)
        half = d.new_empty(4, 6, n, rows, columns, out_channels)
        _transform_output(list(products), list(half))
        y = d.new_empty(n, rows, 4, columns, 4, out_channels)
        _transform_output(list(half.unbind(1)), list(y.permute(4, 2, 0, 1, 3, 5)))
        y = y.view(n, 4 * rows, 4 * columns, out_channels).add_(self.bias)
        if self.relu:
            y.relu_()
        return y[:, :h, :w].permute(0, 3, 1, 2)


def _transform_input(d: list[torch.Tensor], out: list[torch.Tensor]) -> None:
    # out = B' d along one axis; B' has the rows (4 0 -5 0 1 0), (0 -4 -4 1 1 0), (0 4 -4 -1 1 0), (0 -2 -1 2 1 0),
    # (0 2 -1 -2 1 0), (0 4 0 -5 0 1). Neighbouring rows share their even and their odd part.
    even, odd = torch.sub(d[4], d[2], alpha=4), torch.sub(d[3], d[1], alpha=4)
    torch.add(even, d[0], alpha=4, out=out[0]).sub_(d[2])
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.sub(d[4], d[2], out=even)
    torch.sub(d[3], d[1], out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
    torch.sub(d[5], d[3], out=out[5]).sub_(odd, alpha=4)


def _transform_output(m: list[torch.Tensor], out: list[torch.Tensor]) -> None:
    # out = A' m along one axis; A' has the rows (1 1 1 1 1 0), (0 1 -1 2 -2 0), (0 1 1 4 4 0), (0 1 -1 8 -8 1).
    sum_1, difference_1 = m[1] + m[2], m[1] - m[2]
    sum_2, difference_2 = m[3] + m[4], m[3] - m[4]
    torch.add(sum_1, sum_2, out=out[0]).add_(m[0])
    torch.add(difference_1, difference_2, alpha=2, out=out[1])
    torch.add(sum_1, sum_2, alpha=4, out=out[2])
    torch.add(difference_1, difference_2, alpha=8, out=out[3]).add_(m[5])
