"""How good a model is on objects whose masks are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dextr.inference import evaluating
from dextr.loss import balanced_binary_cross_entropy
from dextr.paste import Patch, paste_patch
from dextr.training_data import Batch, SizedDataset

if TYPE_CHECKING:
    from dextr.model import DextrModel


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        loss: mean of the batches' losses.
        miou: mean IoU, 0 to 1, over the objects of which truth or prediction has a pixel; NaN if there is none.
    """

    loss: float
    miou: float


def validate(model: DextrModel, batches: Iterable[Batch], truth: SizedDataset, device: torch.device) -> Validation:
    """Predict every object, and compare the masks in the pixels of its image.

    Args:
        model: its net is left in the mode it was in.
        batches: `input` (N, 4, h, w), `target_mask` (N, 1, h, w) and `crop_yx` (N, 2, 2) of all objects, in order.
        truth: the samples of the same objects before any transform, of which only `target_mask` is used.
        device: where the net is.
    """
    losses: list[float] = []
    ious: list[float | None] = []
    with evaluating(model.net), torch.inference_mode():
        for batch in batches:
            logits = model.net(batch["input"].to(device))["out"]
            losses.append(balanced_binary_cross_entropy(logits, batch["target_mask"].to(device)).item())
            # In 8 bit and truncated: what prediction makes of the same logits.
            masks = torch.sigmoid(logits[:, 0]).mul_(255).to(torch.uint8).cpu().numpy()
            for mask, crop_yx in zip(masks, batch["crop_yx"].double().numpy(), strict=True):
                true_mask = np.asarray(truth[len(ious)]["target_mask"]) > 127
                ious.append(intersection_over_union(true_mask, paste_patch(mask, crop_yx, true_mask.shape)))
    known = [iou for iou in ious if iou is not None]
    return Validation(float(np.mean(losses)), float(np.mean(known)) if known else float("nan"))


def intersection_over_union(true_mask: NDArray[np.bool_], patch: Patch) -> float | None:
    """IoU of a mask (H, W) and a prediction, which counts where it is above 127; None if both are empty."""
    predicted = patch.probability > 127
    intersection = np.count_nonzero(true_mask[patch.slices] & predicted)
    union = np.count_nonzero(true_mask) + np.count_nonzero(predicted) - intersection
    return intersection / union if union else None
