"""From a sample to its part of a batch: bytes, which become the network's input where they are needed.

A fifth of the memory of the input itself goes from the workers to this process and on to the device, and the arithmetic
is done there for a whole batch; see `network_input.normalise_batch`. An item is a dict of tensors:

* `crop`: uint8 (h, w, 3), R G B
* `heat_rows`, `heat_columns`: float32 (4, h) and (4, w); see `heatmap.gaussian_factors`
* `target_mask`: uint8 (h, w), 0 to 255
* `crop_yx`, in validation: float32 (2, 2), [[y0, x0], [y1, x1]] in the image
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dextr.data_pipeline.evaluation_transforms import DextrFindExtremesTransform, crop_mask
from dextr.data_pipeline.sample import Sample
from dextr.data_pipeline.training_transform import DextrTrainingTransform
from dextr.inference import crop
from dextr.inference.heatmap import gaussian_factors

Item: TypeAlias = dict[str, torch.Tensor]


class TrainingItem:
    """The item of an augmented sample; the Gaussians meet in their maximum."""

    def __init__(self, augment: DextrTrainingTransform) -> None:
        self.augment = augment

    def __call__(self, sample: Sample) -> Item:
        """Raises ValueError where the sample cannot be augmented."""
        image, mask, points = self.augment.augment(sample)
        return _item(image, mask, points, self.augment.target_size_yx, self.augment.blob_sigma)


class ValidationItem:
    """The item of a sample cropped at its extreme points as inference does it; the Gaussians are added.

    Args:
        find: picks the points, and has the size of the crops.
        padding, blob_sigma: of the model.
    """

    def __init__(self, find: DextrFindExtremesTransform, padding: int, blob_sigma: float) -> None:
        self.find = find
        self.padding = padding
        self.blob_sigma = blob_sigma

    def __call__(self, sample: Sample) -> Item:
        """Raises ValueError where image and mask differ in size."""
        size, points = self.find.target_size_yx, self.find(sample)["extreme_points"]
        crop_yx = crop.crop_box(points, size, self.padding)
        image = crop.crop_image(sample["input"], crop_yx, size)
        mask = np.asarray(crop_mask(sample["target_mask"], crop_yx, size))
        item = _item(image, mask, crop.points_in_crop(points, crop_yx, size), size, self.blob_sigma)
        return {**item, "crop_yx": torch.from_numpy(crop_yx.astype(np.float32))}


def _item(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], points: NDArray[np.float64], size: tuple[int, int], sigma: float
) -> Item:
    rows, columns = gaussian_factors(points, size, sigma)
    return {
        "crop": _tensor(image),
        "heat_rows": torch.from_numpy(rows),
        "heat_columns": torch.from_numpy(columns),
        "target_mask": _tensor(mask),
    }


def _tensor(array: NDArray[np.uint8]) -> torch.Tensor:
    # Arrays of PIL images cannot be written to, which torch does not like.
    return torch.from_numpy(array if array.flags.writeable else array.copy())
