"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. Each tile of 4x4 results Y comes from a
tile d of 6x6 values and a kernel g as Y = A' [(G g G') * (B' d B)] A, where * multiplies element by element and, with
many channels, becomes one matrix product per element of the 6x6 tile. Rounding costs about one decimal digit against
the direct sum. The image is worked through in strips that fit into the processor's cache, because transforms of whole
images would only wait for memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskworks_torch.cpu_operators import threads

_G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_TILES = 320  # at most in a strip, which then takes a few megabytes


def pays_off(conv: nn.Conv2d) -> bool:
    """Whether the saved multiplications (channels in times out) outweigh the transforms (channels in plus out)."""
    three_by_three = (conv.kernel_size, conv.padding) == ((3, 3), (1, 1))
    plain = (conv.stride, conv.dilation, conv.groups) == ((1, 1), (1, 1), 1)
    channels = conv.in_channels, conv.out_channels
    return three_by_three and plain and channels[0] * channels[1] >= 64 * sum(channels)


class WinogradConv(nn.Module):
    """relu(conv(x) + residual) of a 3x3 convolution of stride 1 and padding 1. float32, on the CPU.

    Args:
        conv: such a convolution.
        relu: whether ReLU follows.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        out_channels, in_channels = conv.weight.shape[:2]
        g = torch.tensor(_G, dtype=torch.float64)
        transform = torch.kron(g, g).float()  # (36, 9): G g G' as one product over the flattened kernel
        kernels = transform @ conv.weight.detach().reshape(-1, 9).t()
        self.kernels = kernels.view(36, out_channels, in_channels).transpose(1, 2).contiguous()
        self.bias = torch.zeros(out_channels) if conv.bias is None else conv.bias.detach()
        self.relu = relu

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W), both channels last."""
        height, width = x.shape[-2:]
        rows, columns = -(-height // 4), -(-width // 4)
        y = x.new_empty(x.shape[0], rows, 4, columns, 4, self.kernels.shape[2])
        step = -(-rows // -(-rows * columns // _TILES))  # strips of about the same height
        images = x.permute(0, 2, 3, 1)

        def work(piece: int) -> None:
            number, start = divmod(piece, rows)
            strip = y[number, start : start + step]
            self._strip(_padded(images[number], 4 * start - 1, 4 * len(strip) + 2, 4 * columns + 2), strip)
            if self.relu and residual is None:  # while the strip is still in the cache
                strip.relu_()

        threads.each(work, [number * rows + start for number in range(len(x)) for start in range(0, rows, step)])
        y = y.view(x.shape[0], 4 * rows, 4 * columns, -1)[:, :height, :width].permute(0, 3, 1, 2)
        if residual is not None:
            y = y.add_(residual)
        return y.relu_() if self.relu and residual is not None else y

    def _strip(self, d: Tensor, y: Tensor) -> None:
        """d (4 rows + 2, 4 columns + 2, C) -> y (rows, 4, columns, 4, C'), in place."""
        rows, _, columns, _, out_channels = y.shape
        in_channels = d.shape[-1]
        half = d.new_empty(6, rows, 4 * columns + 2, in_channels)
        _transform_input([d[i : i + 4 * rows - 3 : 4] for i in range(6)], list(half))
        tiles = d.new_empty(6, 6, rows, columns, in_channels)
        _transform_input([half[:, :, i : i + 4 * columns - 3 : 4] for i in range(6)], list(tiles.unbind(1)))
        products = torch.bmm(tiles.view(36, -1, in_channels), self.kernels).view(6, 6, rows, columns, out_channels)
        half = d.new_empty(4, 6, rows, columns, out_channels)
        _transform_output(list(products), list(half))
        _transform_output(list(half.unbind(1)), list(y.permute(3, 1, 0, 2, 4)))
        y.add_(self.bias)


def _padded(image: Tensor, top: int, rows: int, columns: int) -> Tensor:
    """(rows, columns, C): the rows from `top` on and the columns from -1 on of an image (H, W, C), 0 outside."""
    height, width, _ = image.shape
    first, last = max(top, 0), min(top + rows, height)
    return F.pad(image[first:last], (0, 0, 1, columns - width - 1, first - top, top + rows - last))


def _transform_input(d: list[Tensor], out: list[Tensor]) -> None:
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


def _transform_output(m: list[Tensor], out: list[Tensor]) -> None:
    # out = A' m along one axis; A' has the rows (1 1 1 1 1 0), (0 1 -1 2 -2 0), (0 1 1 4 4 0), (0 1 -1 8 -8 1).
    sum_1, difference_1 = m[1] + m[2], m[1] - m[2]
    sum_2, difference_2 = m[3] + m[4], m[3] - m[4]
    torch.add(sum_1, sum_2, out=out[0]).add_(m[0])
    torch.add(difference_1, difference_2, alpha=2, out=out[1])
    torch.add(sum_1, sum_2, alpha=4, out=out[2])
    torch.add(difference_1, difference_2, alpha=8, out=out[3]).add_(m[5])
