"""The transforms under the names of the original, for samples as in `sample`."""

from __future__ import annotations

from dextr.data_pipeline.evaluation_transforms import (
    DextrCropWithHeatmapTransform,
    DextrFindExtremesTransform,
    crop_with_heatmap,
    paste_mask_into_image,
)
from dextr.data_pipeline.tensor_transforms import DextrNormalize, DextrToTensor
from dextr.data_pipeline.training_transform import DextrTrainingTransform

__all__ = [
    "DextrCropWithHeatmapTransform",
    "DextrFindExtremesTransform",
    "DextrNormalize",
    "DextrToTensor",
    "DextrTrainingTransform",
    "crop_with_heatmap",
    "paste_mask_into_image",
]
