"""The losses of TensorMask (paper, section 4.2): classes, boxes, masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tensormask.anchors import Locations
from tensormask.box_transform import encode
from tensormask.config import Config
from tensormask.network import Output
from tensormask.training.assignment import BACKGROUND, assign
from tensormask.training.ground_truth import GroundTruth
from tensormask.training.mask_targets import mask_targets


def losses(output: Output, truths: Sequence[GroundTruth], config: Config) -> dict[str, Tensor]:
    """`loss_cls`, `loss_box_reg` and, with masks, `loss_mask`: scalars whose sum is to be minimised.

    Each is normalised by the number of foreground windows in this batch.
    """
    at, anchors = output.grid.all()
    matched = torch.stack([assign(at, anchors, truth.boxes, config) for truth in truths])
    image, anchor = (matched != BACKGROUND).nonzero(as_tuple=True)
    objects = matched[image, anchor]
    classes = _per_window([truth.classes for truth in truths], image, objects)
    boxes = _per_window([truth.boxes for truth in truths], image, objects)
    normaliser = max(1, len(anchor))
    deltas = torch.cat(output.deltas, 1).float()[image, anchor]
    result = {
        "loss_cls": _class_loss(output.logits, image, anchor, classes, config) / normaliser,
        "loss_box_reg": (deltas - encode(boxes, anchors[anchor], config.bbox_reg_weights)).abs().sum() / normaliser,
    }
    if config.mask_on:
        windows = Locations(at.level[anchor], image, at.y[anchor], at.x[anchor], at.size[anchor])
        total = _mask_loss(output, truths, windows, objects, anchors[anchor], config)
        result["loss_mask"] = total / normaliser + _nothing(output)
    return result


def focal_loss(logits: Tensor, positive: bool, alpha: float, gamma: float) -> Tensor:
    """FL* of Lin et al., "Focal Loss for Dense Object Detection", appendix A, summed, for logits of one kind.

    -alpha_t log sigmoid(gamma x_t) / gamma, where x_t is x for positives and -x for negatives; likewise alpha_t is
    alpha or 1 - alpha. Its beta is 0.
    """
    weight, sign = (alpha, -1) if positive else (1 - alpha, 1)
    return weight / gamma * F.softplus(sign * gamma * logits.float()).sum()


def _class_loss(levels: list[Tensor], image: Tensor, anchor: Tensor, classes: Tensor, config: Config) -> Tensor:
    # All as if they were negatives, then the few positives anew.
    alpha, gamma = config.focal_loss_alpha, config.focal_loss_gamma
    total = torch.stack([focal_loss(level, False, alpha, gamma) for level in levels]).sum()
    positives = torch.cat(levels, 1)[image, anchor, classes]
    return total - focal_loss(positives, False, alpha, gamma) + focal_loss(positives, True, alpha, gamma)


def _mask_loss(
    output: Output,
    truths: Sequence[GroundTruth],
    windows: Locations,
    objects: Tensor,
    boxes: Tensor,
    config: Config,
) -> Tensor:
    total = boxes.new_zeros(())
    positive_weight = boxes.new_tensor(config.positive_weight)
    for chosen, logits in output.masks.at(windows):
        side = logits.shape[-1]
        target = torch.empty_like(logits)
        for number in set(windows.image[chosen].tolist()):
            own = (windows.image[chosen] == number).nonzero()[:, 0]
            target[own] = mask_targets(truths[number], objects[chosen[own]], boxes[chosen[own]], side)
        loss = F.binary_cross_entropy_with_logits(logits, target, pos_weight=positive_weight, reduction="sum")
        total = total + config.mask_loss_weight / side**2 * loss
    return total


def _per_window(values: Sequence[Tensor], image: Tensor, objects: Tensor) -> Tensor:
    """Of each window's object its value, from lists per image."""
    starts = torch.tensor([0, *(len(value) for value in values)][:-1], device=image.device).cumsum(0)
    return torch.cat(list(values))[starts[image] + objects]


def _nothing(output: Output) -> Tensor:
    """0 that depends on every weight of the mask branch: all processes then agree on which gradients there are."""
    head = output.masks.head
    weights = [p for name, p in head.named_parameters() if name.startswith("mask_")]
    return torch.stack([weight.float().sum() for weight in weights]).sum() * 0
