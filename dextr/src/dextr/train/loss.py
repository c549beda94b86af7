"""The loss of the training."""

from __future__ import annotations

import torch
from torch.nn import functional


def balanced_binary_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy in which object and background have equal weight, independent of their areas.

    With m the mean of a sample's target, a pixel has the weight m + (1 - 2m) * target, as in the original: m in the
    background, 1 - m in the object.

    Args:
        logits: (N, 1, h, w).
        target: (N, 1, h, w), 0 to 1; soft values are allowed.

    Returns:
        A scalar: the plain mean over all pixels and samples.
    """
    mean = target.mean(dim=(1, 2, 3), keepdim=True)
    weight = mean + (1 - 2 * mean) * target
    return functional.binary_cross_entropy_with_logits(logits, target, weight=weight)
