"""The heads of TensorMask (paper, section 4 and Fig. 8): class, box and mask of each window, shared by all levels."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from tensormask.config import Config
from tensormask.convolution import Conv

_PRIOR = 0.01  # the probability that every class starts with


class Head(nn.Module):
    """Towers of 3x3 convolutions, and the predictions from them. A = anchors per location, K = classes.

    `cls_score` has channels a K + k, `bbox_pred` a 4 + (dx, dy, dw, dh), `mask_pred_V` v V + u.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, anchors = config.fpn_out_channels, len(config.mask_sizes)
        self.num_classes = config.num_classes
        self.num_convs = config.num_convs
        self.mask_sizes = config.mask_sizes if config.mask_on else ()
        self.cls_subnet = _tower(channels, config.cls_channels, config.num_convs)
        self.cls_score = Conv(config.cls_channels, anchors * config.num_classes, 3)
        self.bbox_subnet = _tower(channels, config.bbox_channels, config.num_convs)
        self.bbox_pred = Conv(config.bbox_channels, anchors * 4, 3)
        if config.mask_on:
            self.mask_subnet = _tower(channels, config.mask_channels, config.num_convs)
            for size in config.mask_sizes:
                self.add_module(f"mask_pred_{size:02d}", Conv(config.mask_channels, size**2, 1))
            if config.aligned_on and config.bipyramid_on:
                self.mask_fuse = nn.Sequential(Conv(config.mask_channels, config.mask_channels, 3, relu=True))

    def classes(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """Class logits of each level, (N, H_l W_l A, K)."""
        return [_per_anchor(self.cls_score(self.cls_subnet(level)), self.num_classes) for level in pyramid]

    def boxes(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """Box deltas of each level, (N, H_l W_l A, 4)."""
        return [_per_anchor(self.bbox_pred(self.bbox_subnet(level)), 4) for level in pyramid]

    def mask_kernels(self, size: int) -> tuple[Tensor, Tensor]:
        """Weights (V V, C) and biases (V V,) of the masks of an anchor size, by its number."""
        conv = self.get_submodule(f"mask_pred_{self.mask_sizes[size]:02d}")
        assert isinstance(conv, Conv)
        assert conv.bias is not None
        return conv.weight.flatten(1), conv.bias

    def initialise(self) -> None:
        """Random values to start training with: small weights, and each class improbable."""
        for module in self.modules():
            if isinstance(module, Conv):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        assert self.cls_score.bias is not None
        nn.init.constant_(self.cls_score.bias, -math.log((1 - _PRIOR) / _PRIOR))


def _tower(in_channels: int, channels: int, convs: int) -> nn.Sequential:
    # Numbered as if each convolution's ReLU were a module of its own.
    sizes = [in_channels, *[channels] * convs]
    layers = [(str(2 * i), Conv(sizes[i], channels, 3, relu=True)) for i in range(convs)]
    return nn.Sequential(OrderedDict(layers))


def _per_anchor(x: Tensor, values: int) -> Tensor:
    """(N, A values, H, W) -> (N, H W A, values)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)
