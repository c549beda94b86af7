"""TensorMask in the original's order of work, written anew from its description: the peer of a benchmark.

Everything is computed everywhere: masks of all levels in the aligned representation, then in the natural one, the
sigmoid of every class logit. The operators are torch's own, on the same network.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms

from tensormask import preprocessing
from tensormask.box_transform import decode
from tensormask.network import TensorMaskNet

PAD = -6.0


@torch.no_grad()
def predict(net: TensorMaskNet, image: np.ndarray) -> dict[str, np.ndarray]:
    """What is found in an image (H, W, 3) uint8, R G B; masks bool (n, H, W)."""
    config, size = net.config, image.shape[:2]
    resized = preprocessing.resize(image, preprocessing.resized_size(size, config.min_size_test, config.max_size_test))
    inputs = preprocessing.batch([preprocessing.as_tensor(resized[:, :, ::-1])], config, "cpu")
    logits, deltas, natural, grid = everything(net, inputs)
    probability = logits.flatten().sigmoid()
    passed = (probability > config.score_thresh).nonzero()[:, 0]
    scores, order = probability[passed].sort(descending=True)
    scores, best = scores[: config.topk_candidates], passed[order[: config.topk_candidates]]
    anchor, classes = best // config.num_classes, best % config.num_classes
    at = grid.locations(anchor, torch.zeros_like(anchor))
    boxes = decode(deltas[anchor], grid.boxes(at), config.bbox_reg_weights)
    keep = batched_nms(boxes, scores, classes, config.nms_thresh)[: config.detections_per_image]
    at = at[keep]
    windows = [
        natural[level][size_index][0, :, y, x].sigmoid()
        for level, size_index, y, x in zip(*(v.tolist() for v in (at.level, at.size, at.y, at.x)), strict=True)
    ]
    scale = torch.tensor([size[1] / resized.shape[1], size[0] / resized.shape[0]]).repeat(2)
    boxes = (boxes[keep] * scale).clamp(min=0).minimum(torch.tensor([size[1], size[0]]).repeat(2))
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    masks = paste([w for w, s in zip(windows, seen.tolist(), strict=True) if s], (grid.boxes(at) * scale)[seen], size)
    return {
        "boxes": boxes[seen].numpy(), "scores": scores[keep][seen].numpy(), "classes": classes[keep][seen].numpy(),
        "masks": masks.numpy(),
    }  # fmt: skip


def everything(net: TensorMaskNet, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list, object]:
    """Class logits (anchors, K), box deltas (anchors, 4), natural masks by level and size, and the anchors."""
    head, output = net.head, net(inputs)
    pyramid = output.masks.pyramid
    features = [head.mask_subnet(level) for level in pyramid]
    natural = []
    for level, own in enumerate(features):
        height, width = features[0].shape[-2:]
        scale = 2**level
        enlarged = own if level == 0 else F.interpolate(own, scale_factor=float(scale), mode="bilinear")
        fused = head.mask_fuse(enlarged[:, :, :height, :width] + features[0])
        predicted = [head.get_submodule(f"mask_pred_{side:02d}")(fused) for side in head.mask_sizes]
        natural.append([swap_align2nat(x, scale) for x in predicted])
    return torch.cat(output.logits, 1)[0], torch.cat(output.deltas, 1)[0], natural, output.grid


def swap_align2nat(x: torch.Tensor, scale: int) -> torch.Tensor:
    """(N, V V, H, W) -> (N, (scale V)^2, ceil(H / scale), ceil(W / scale)): first along (v, y), then along (u, x)."""
    n, channels, height, width = x.shape
    side = math.isqrt(channels)
    rows, row_weights = _taps(side, height, scale)
    columns, column_weights = _taps(side, width, scale)
    x = x.view(n, side, side, height, width).permute(0, 1, 3, 2, 4).reshape(n, side * height, side * width)
    x = torch.cat([x, x.new_full((n, 1, side * width), PAD)], 1)
    x = sum(w[:, None] * x[:, i] for i, w in zip(rows, row_weights, strict=True))
    x = torch.cat([x, x.new_full((n, x.shape[1], 1), PAD)], 2)
    x = sum(w * x[:, :, i] for i, w in zip(columns, column_weights, strict=True))
    new = side * scale
    x = x.view(n, new, -(-height // scale), new, -(-width // scale))
    return x.permute(0, 1, 3, 2, 4).reshape(n, new * new, x.shape[2], x.shape[4])


def _taps(side: int, length: int, scale: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Indices into v length + y, with `side length` for outside, and their weights; for all (v', y')."""
    v = torch.arange(side * scale, dtype=torch.float64)
    y = torch.arange(-(-length // scale), dtype=torch.float64)
    fine = (v + 0.5) / scale - 0.5
    place = scale * y[None] + v[:, None] - side * scale / 2 + 0.5
    indices, weights = [], []
    for step_v in (0, 1):
        for step_y in (0, 1):
            low_v, low_y = fine.floor()[:, None].expand_as(place), place.floor()
            share_v, share_y = fine[:, None] - low_v, place - low_y
            at_v, at_y = low_v + step_v, low_y + step_y
            weight = (share_v if step_v else 1 - share_v) * (share_y if step_y else 1 - share_y)
            if not weight.any():
                continue
            inside = (at_v >= 0) & (at_v < side) & (at_y >= 0) & (at_y < length)
            index = torch.where(inside, at_v * length + at_y, side * length)
            indices.append(index.long().flatten())
            weights.append(weight.float().flatten())
    return indices, weights


def paste(windows: list[torch.Tensor], boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """bool (n, H, W): each window sampled into its box, one at a time and only around it."""
    height, width = size
    masks = torch.zeros(len(windows), height, width, dtype=torch.bool)
    for mask, window, (x0, y0, x1, y1) in zip(masks, windows, boxes.tolist(), strict=True):
        left, right = max(math.floor(x0) - 1, 0), min(math.ceil(x1) + 1, width)
        top, bottom = max(math.floor(y0) - 1, 0), min(math.ceil(y1) + 1, height)
        if left >= right or top >= bottom:
            continue
        x = (torch.arange(left, right) + 0.5 - x0) / (x1 - x0) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - y0) / (y1 - y0) * 2 - 1
        grid = torch.stack([x[None].expand(len(y), -1), y[:, None].expand(-1, len(x))], -1)[None]
        side = math.isqrt(window.numel())
        mask[top:bottom, left:right] = (
            F.grid_sample(window.view(1, 1, side, side), grid, align_corners=False)[0, 0] >= 0.5
        )
    return masks
