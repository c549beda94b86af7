"""Masks of objects, cut to windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco
from torch import Tensor
from torchvision.ops import roi_align

from tensormask.training.ground_truth import GroundTruth, Polygons

_SMALLEST_SIDE = 0.1


def mask_targets(truth: GroundTruth, objects: Tensor, windows: Tensor, side: int) -> Tensor:
    """float32 (n, side, side) of 0 and 1: in each window the mask of its object.

    Args:
        truth: of the image.
        objects: int64 (n,), numbers of the objects.
        windows: (n, 4) of x0, y0, x1, y1; they may reach beyond the image.
        side: of a window in mask pixels.
    """
    if truth.masks is not None:
        rois = torch.cat([torch.arange(len(objects), device=windows.device)[:, None].to(windows), windows], 1)
        masks = truth.masks[objects][:, None].to(windows.dtype)
        shares: Tensor = roi_align(masks, rois, side, 1.0, 0, aligned=True)
        return (shares[:, 0] >= 0.5).float()
    assert truth.polygons is not None
    pairs = zip(objects.tolist(), windows.cpu().double().numpy(), strict=True)
    masks_np = [rasterise(truth.polygons[number], window, side) for number, window in pairs]
    return torch.from_numpy(np.stack(masks_np)).to(windows.device, torch.float32)


def rasterise(polygons: Polygons, window: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """uint8 (side, side) of 0 and 1: a polygon in a window, drawn as COCO does."""
    scale = side / np.maximum(window[2:] - window[:2], _SMALLEST_SIDE)
    parts = [((part.reshape(-1, 2) - window[:2]) * scale).ravel().tolist() for part in polygons]
    return _decode(parts, side, side)


def whole_mask(polygons: Sequence[Sequence[float]], height: int, width: int) -> NDArray[np.uint8]:
    """uint8 (height, width) of 0 and 1."""
    return _decode(polygons, height, width)


def _decode(parts: Sequence[Sequence[float]], height: int, width: int) -> NDArray[np.uint8]:
    mask: NDArray[np.uint8] = coco.decode(coco.merge(coco.frPyObjects(list(parts), height, width)))
    return mask
