"""Boxes relative to anchors (Girshick et al., CVPR 2014, appendix C), with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_LARGEST_LOG_SCALE = math.log(1000.0 / 16)  # no box is more than 62.5 times as wide or high as its anchor


def encode(boxes: Tensor, anchors: Tensor, weights: Sequence[float]) -> Tensor:
    """(n, 4) of dx, dy, dw, dh that turn the anchors into the boxes, both (n, 4) of x0, y0, x1, y1."""
    (centre, size), (anchor_centre, anchor_size) = _centre_and_size(boxes), _centre_and_size(anchors)
    deltas = torch.cat([(centre - anchor_centre) / anchor_size, torch.log(size / anchor_size)], 1)
    return deltas * deltas.new_tensor(weights)


def decode(deltas: Tensor, anchors: Tensor, weights: Sequence[float]) -> Tensor:
    """The boxes, float32 (n, 4) of x0, y0, x1, y1, that the deltas (n, 4) make of the anchors (n, 4). Not clipped."""
    deltas = deltas.float() / deltas.new_tensor(weights, dtype=torch.float32)
    anchor_centre, anchor_size = _centre_and_size(anchors)
    centre = deltas[:, :2] * anchor_size + anchor_centre
    half = 0.5 * (deltas[:, 2:].clamp(max=_LARGEST_LOG_SCALE).exp() * anchor_size)
    return torch.cat([centre - half, centre + half], 1)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + 0.5 * size, size
