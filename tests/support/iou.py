"""How well two masks agree."""

from __future__ import annotations

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks of the same shape; 1 if both are empty."""
    inside_a, inside_b = a != 0, b != 0
    union = int((inside_a | inside_b).sum())
    return 1.0 if union == 0 else int((inside_a & inside_b).sum()) / union
