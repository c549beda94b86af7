"""From class logits and box deltas to detections: threshold, best candidates, non-maximum suppression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from tensormask.anchors import Locations
from tensormask.box_transform import decode
from tensormask.config import Config
from tensormask.network import Output


@dataclass(frozen=True, eq=False)
class Candidates:
    """Detections in one image, by falling score.

    Attributes:
        boxes: float32 (n, 4) of x0, y0, x1, y1 in pixels of the network's input, not clipped.
        scores: float32 (n,).
        classes: int64 (n,).
        at: the anchors that they come from.
        anchors: float32 (n, 4), the boxes of these anchors.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    at: Locations
    anchors: Tensor

    def __getitem__(self, index: Tensor) -> Candidates:
        return Candidates(
            self.boxes[index], self.scores[index], self.classes[index], self.at[index], self.anchors[index]
        )


def detect(output: Output, image: int, config: Config, threshold: float) -> Candidates:
    """The detections in one image of a batch, at most `detections_per_image`.

    Args:
        output: of the network.
        image: its number in the batch.
        config: says how many candidates and detections there may be, and how much they may overlap.
        threshold: scores are above it.
    """
    scores, index = _best([level[image] for level in output.logits], threshold, config.topk_candidates)
    anchor, classes = index.div(config.num_classes, rounding_mode="floor"), index.remainder(config.num_classes)
    at = output.grid.locations(anchor, torch.full_like(anchor, image))
    anchors = output.grid.boxes(at)
    deltas = torch.cat([level[image] for level in output.deltas])[anchor]
    boxes = decode(deltas, anchors, config.bbox_reg_weights)
    keep = batched_nms(boxes, scores, classes, config.nms_thresh)[: config.detections_per_image]
    return Candidates(boxes, scores, classes, at, anchors)[keep]


def _best(levels: list[Tensor], threshold: float, most: int) -> tuple[Tensor, Tensor]:
    """Falling scores above the threshold, of all levels together, and their numbers: anchor times K plus class."""
    # Few logits pass, so the sigmoid is only computed for those that might.
    least = math.log(threshold / (1 - threshold)) - 0.01 if 0 < threshold < 1 else -math.inf
    scores, numbers, start = [], [], 0
    for level in levels:
        flat = level.flatten()
        near = (flat > least).nonzero()[:, 0]
        probability = flat[near].float().sigmoid()
        passed = probability > threshold
        scores.append(probability[passed])
        numbers.append(near[passed] + start)
        start += len(flat)
    every = torch.cat(scores)
    best, order = every.sort(descending=True)
    return best[:most], torch.cat(numbers)[order[:most]]
