"""The data sets under the names of the original."""

from __future__ import annotations

from dextr.data_pipeline.file_datasets import LabelImageTargetDextrDataset, MaskStackTargetDextrDataset
from dextr.data_pipeline.object_dataset import DextrDataset

__all__ = ["DextrDataset", "LabelImageTargetDextrDataset", "MaskStackTargetDextrDataset"]
