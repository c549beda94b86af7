"""How good a model is on objects whose masks are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dextr.data_pipeline.object_dataset import SizedDataset
from dextr.inference.paste import Patch, paste_patch
from dextr.inference.prediction import evaluating
from dextr.train.batches import Batch, network_batch
from dextr.train.loss import balanced_binary_cross_entropy


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes:
        loss: mean over the objects.
        miou: mean IoU, 0 to 1, over the objects of which truth or prediction has a pixel; NaN if there is none.
    """

    loss: float
    miou: float

    def __str__(self) -> str:
        return f"VAL loss={self.loss:.6f}, mIoU={self.miou:.3%}"


@dataclass
class ObjectFigures:
    """Losses, and IoUs or None where truth and prediction are empty, of some objects."""

    losses: list[float] = field(default_factory=list)
    ious: list[float | None] = field(default_factory=list)

    def mean(self) -> Validation:
        """The means of at least one object."""
        known = [iou for iou in self.ious if iou is not None]
        return Validation(float(np.mean(self.losses)), float(np.mean(known)) if known else float("nan"))


Watch: TypeAlias = Callable[[int, Batch, NDArray[np.uint8]], object]


def validate(
    net: nn.Module,
    batches: Iterable[Batch],
    truth: SizedDataset,
    device: torch.device,
    *,
    objects: Sequence[int] | None = None,
    amp: torch.dtype | None = None,
    watch: Watch | None = None,
) -> ObjectFigures:
    """Predict every object, and compare the masks in the pixels of its image.

    Args:
        net: see `DextrModel`; left in the mode it was in.
        batches: of all objects, or of those that are named, in order; see `batches.validation_batches`.
        truth: the samples of all objects before any transform, of which only `target_mask` is used.
        device: where the net is.
        objects: the numbers of the objects; None for all.
        amp: see `Trainer`.
        watch: called with the number of the first object of each batch, the batch, and its masks: 255 times the
            probability, uint8 (N, h, w).
    """
    numbers = range(len(truth)) if objects is None else objects
    figures = ObjectFigures()
    with evaluating(net), torch.inference_mode():
        for batch in batches:
            inputs, target = network_batch(batch, device, "sum")
            with torch.autocast(device.type, amp, enabled=amp is not None):
                logits = net(inputs)["out"]
            logits, first = logits.float(), len(figures.ious)
            figures.losses += [
                balanced_binary_cross_entropy(*one).item() for one in zip(logits[:, None], target[:, None], strict=True)
            ]
            # In 8 bit and truncated, as predictions are.
            masks = torch.sigmoid(logits[:, 0]).mul_(255).to(torch.uint8).cpu().numpy()
            for mask, crop_yx in zip(masks, batch["crop_yx"].double().numpy(), strict=True):
                true_mask = np.asarray(truth[numbers[len(figures.ious)]]["target_mask"]) > 127
                patch = paste_patch(mask, crop_yx, true_mask.shape)
                figures.ious.append(intersection_over_union(true_mask, patch))
            if watch is not None:
                watch(first, batch, masks)
    return figures


def intersection_over_union(true_mask: NDArray[np.bool_], patch: Patch) -> float | None:
    """IoU of a mask (H, W) and a prediction, which counts where it is above 127; None if both are empty."""
    predicted = patch.probability > 127
    intersection = np.count_nonzero(true_mask[patch.slices] & predicted)
    union = np.count_nonzero(true_mask) + np.count_nonzero(predicted) - intersection
    return intersection / union if union else None
