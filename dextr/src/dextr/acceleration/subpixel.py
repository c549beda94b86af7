"""Nearest-neighbour enlargement by two, without ever making the enlarged tensor."""

from __future__ import annotations

import torch
from torch import nn

from maskworks_torch.cpu_operators.packed_conv import PackedConv

# Which rows (or columns) of a 3x3 kernel meet the same pixel of the small input, for even and odd rows of the result.
_TAPS = (((0,), (1, 2)), ((0, 1), (2,)))


def upsample_add(x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """up(x) + skip: x (N, C, h, w), skip (N, C, 2h, 2w), result like skip, channels last."""
    n, c, h, w = x.shape
    skip = skip.contiguous(memory_format=torch.channels_last)
    result = torch.empty_like(skip)
    pairs = (n, h, 2, w, 2, c)
    small = x.permute(0, 2, 3, 1)[:, :, None, :, None]
    torch.add(skip.permute(0, 2, 3, 1).view(pairs), small, out=result.permute(0, 2, 3, 1).view(pairs))
    return result


class SubpixelHead(nn.Module):
    """classifier(relu(conv(up(x)))) for a 3x3 convolution and a 1x1 classifier, computed at the size of x.

    In an enlarged image a 3x3 kernel sees only 2x2 different pixels, so each of the four kinds of result (even or odd
    row, even or odd column) is a 2x2 convolution of x with summed weights: 16 instead of 36 multiplications for four
    results.

    Args:
        conv: 3x3, padding 1, stride 1.
        classifier: 1x1.
        input_size: the (N, C, h, w) of x to lay out the weights for.
    """

    def __init__(self, conv: nn.Conv2d, classifier: nn.Conv2d, input_size: torch.Size) -> None:
        super().__init__()
        self.channels = conv.out_channels
        self.weight = classifier.weight.detach()[:, :, 0, 0].t().contiguous()
        self.bias = None if classifier.bias is None else classifier.bias.detach()
        with torch.no_grad():
            self.conv = PackedConv(_phases(conv), input_size, "relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, C, h, w), channels last -> logits (N, classes, 2h, 2w)."""
        n, _, h, w = x.shape
        # With padding on both sides the four convolutions share one result of h+1 rows: even ones use its upper h, odd
        # ones its lower h; columns likewise.
        features = self.conv(x).permute(0, 2, 3, 1).reshape(-1, self.channels)
        phases = torch.mm(features, self.weight).view(n, h + 1, w + 1, 2, 2, -1)
        if self.bias is not None:
            phases += self.bias
        logits = phases.new_empty(n, phases.shape[-1], h, 2, w, 2)
        for row in (0, 1):
            for column in (0, 1):
                phase = phases[:, row : row + h, column : column + w, row, column]
                logits[:, :, :, row, :, column] = phase.permute(0, 3, 1, 2)
        return logits.view(n, -1, 2 * h, 2 * w)


def _phases(conv: nn.Conv2d) -> nn.Conv2d:
    """The four 2x2 convolutions as one, whose output channels are (row phase, column phase, channel)."""
    out_channels, in_channels = conv.weight.shape[:2]
    phases = nn.Conv2d(in_channels, 4 * out_channels, 2, padding=1, bias=conv.bias is not None, dtype=conv.weight.dtype)
    weight = phases.weight.view(2, 2, out_channels, in_channels, 2, 2)
    for row, row_taps in enumerate(_TAPS):
        for column, column_taps in enumerate(_TAPS):
            for i, rows in enumerate(row_taps):
                for j, columns in enumerate(column_taps):
                    weight[row, column, :, :, i, j] = conv.weight[:, :, rows][:, :, :, columns].sum((2, 3))
    if phases.bias is not None and conv.bias is not None:
        phases.bias.copy_(conv.bias.repeat(4))
    return phases
