"""How the original DEXTR gets from an image to a mask, written anew from its formulas: the peer of two benchmarks."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

MEAN, STD = (0.485, 0.456, 0.406, 0.008), (0.229, 0.224, 0.225, 0.066)


def crop_box(points_yx: np.ndarray, size: int, padding: int) -> np.ndarray:
    """(2, 2) float64 [[y0, x0], [y1, x1]]: the points' box with its share of padding."""
    low, high = points_yx.min(axis=0), points_yx.max(axis=0)
    margin = (high - low) * padding / (size - 2 * padding)
    return np.stack([low - margin, high + margin])


def network_input(image: Image.Image, points_yx: np.ndarray, crop: np.ndarray, size: int, sigma: float) -> torch.Tensor:
    """float32 (1, 4, size, size): crop and heat map, its Gaussians drawn one by one over all pixels in float64."""
    (y0, x0), (y1, x1) = crop.astype(int).tolist()
    cropped = image.convert("RGB").transform(
        (size, size), Image.Transform.EXTENT, (x0, y0, x1, y1), Image.Resampling.BILINEAR
    )
    y, x = np.mgrid[:size, :size].astype(np.float64)
    heat = np.zeros((size, size))
    for point_y, point_x in (points_yx - crop[0]) / np.maximum(crop[1] - crop[0], 1) * size:
        heat += np.exp(-((y - point_y) ** 2 + (x - point_x) ** 2) / (2 * sigma**2))
    values = np.dstack([np.asarray(cropped, np.float32) / 255, heat.astype(np.float32)])
    values = (values - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(values.transpose(2, 0, 1).copy())[None]


def whole_mask(logits: torch.Tensor, crop: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """float32 (H, W): the probabilities in 8 bit, scaled to the crop's box and put into an image of their own."""
    size = logits.shape[-1]
    probability = (torch.sigmoid(logits).cpu().numpy() * 255).astype(np.uint8)
    crop = crop.astype(np.float32).astype(np.float64)
    begin = np.maximum(np.floor(crop[0]), 0).astype(int)
    end = np.minimum(np.ceil(crop[1]), image_hw).astype(int)
    (source_y0, source_x0), (source_y1, source_x1) = size * (np.stack([begin, end]) - crop[0]) / (crop[1] - crop[0])
    pasted = Image.fromarray(probability).transform(
        (int(end[1] - begin[1]), int(end[0] - begin[0])),
        Image.Transform.EXTENT,
        (source_x0, source_y0, source_x1, source_y1),
        Image.Resampling.BILINEAR,
    )
    mask = Image.new("L", (image_hw[1], image_hw[0]))
    mask.paste(pasted, (int(begin[1]), int(begin[0])))
    return np.asarray(mask).astype(np.float32) / 255
