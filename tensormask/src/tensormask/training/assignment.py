"""Which window shall predict which object (paper, section 3.1 of the appendix's training details): no overlap ratios.

A window is assigned to an object that it contains, whose size fits, and whose centre is at its centre.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tensormask.anchors import FIRST_STRIDE, Locations
from tensormask.config import Config

BACKGROUND = -1


def assign(at: Locations, anchors: Tensor, boxes: Tensor, config: Config) -> Tensor:
    """For each anchor the number of its object, or BACKGROUND; int64 (anchors,).

    An anchor with two objects or more is background, too.

    Args:
        at, anchors: all anchors of an image, their boxes (anchors, 4).
        boxes: of the objects, (n, 4).
        config: has the sizes of the anchors.
    """
    fits = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    found = torch.full_like(fits, BACKGROUND)
    stride = (FIRST_STRIDE * 2**at.level).float()
    side = (anchors[:, 2:] - anchors[:, :2]).amax(1)
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2
    smallest = min(min(sizes) for sizes in config.anchor_sizes) - FIRST_STRIDE
    for number, box in enumerate(boxes):
        contained = (anchors[:, :2] <= box[:2]).all(1) & (anchors[:, 2:] >= box[2:]).all(1)
        largest = (2 * (box[2:] - box[:2]).amax()).clamp(min=smallest)
        offset = ((box[:2] + box[2:]) / 2 - centre) / stride[:, None]
        own = contained & (side - stride <= largest) & (offset.square().sum(1) <= 1)
        fits += own
        found[own] = number
    found[fits != 1] = BACKGROUND
    return found
