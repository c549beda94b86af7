"""The classical way from a box to a mask: GrabCut (Rother et al., SIGGRAPH 2004), as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

ITERATIONS = 5


def grab_cut(image: NDArray[np.uint8], points: NDArray[np.float64], margin: float | None = None,
             mark_points: bool = False) -> NDArray[np.bool_]:  # fmt: skip
    """Mask of the object with these extreme points.

    The box of the points starts as probable foreground, all around it is sure background.

    Args:
        image: (H, W, 3) RGB uint8.
        points: (4, 2) [y, x].
        margin: how much of the surroundings counts, as a share of the box's size on each side; None: the whole image.
        mark_points: whether a small disc at each point, moved inwards by its radius, is sure foreground.

    Returns:
        (H, W) bool.
    """
    low, high = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int)
    state = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    state[low[0] : high[0] + 1, low[1] : high[1] + 1] = cv2.GC_PR_FGD
    if mark_points:
        radius = max(1, round(0.015 * float(np.hypot(*(high - low)))))
        inside = np.clip(points, low + radius, np.maximum(high - radius, low + radius))
        for y, x in np.round(inside).astype(int).tolist():
            cv2.circle(state, (x, y), radius, int(cv2.GC_FGD), -1)
    window: tuple[slice, ...] = (slice(None), slice(None))
    if margin is not None:
        wide = np.ceil(margin * (high - low)).astype(int)
        window = tuple(slice(max(a - w, 0), b + w + 1) for a, b, w in zip(low, high, wide, strict=True))
    part = np.ascontiguousarray(state[window])
    cv2.setRNGSeed(0)
    pixels = np.ascontiguousarray(image[window][..., ::-1])
    models = np.zeros((2, 1, 65))
    cv2.grabCut(pixels, part, None, models[0], models[1], ITERATIONS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[window] = (part == cv2.GC_FGD) | (part == cv2.GC_PR_FGD)
    return mask
