"""The transforms from images to the network's tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dextr.data_pipeline.sample import Sample
from dextr.inference import network_input


class DextrToTensor:
    """Turn `input` with `heatmap`, `target_mask` and `crop_yx`, where present, into float32 tensors.

    `input` becomes (4, h, w): R, G, B and the heat map, and `target_mask` (1, h, w), both from bytes to 0..1. Nothing
    else is kept.
    """

    __module__ = "dextr.data_pipeline.dextr_transforms"  # its public name, as in the original

    def __call__(self, sample: Sample) -> Sample:
        """The sample of tensors."""
        heatmap = np.asarray(sample["heatmap"], dtype=np.float32)
        channels = np.empty((4, *heatmap.shape), dtype=np.float32)
        np.divide(np.asarray(sample["input"]).transpose(2, 0, 1), np.float32(255), out=channels[:3])
        channels[3] = heatmap
        return {"input": torch.from_numpy(channels), **_target_tensors(sample)}


class DextrNormalize:
    """Subtract the mean from the channels of `input` and divide by the standard deviation.

    Args:
        mean: of R, G, B and the heat map; the values for ImageNet by default.
        std: likewise.

    Raises:
        ValueError: not four values each.
    """

    __module__ = "dextr.data_pipeline.dextr_transforms"  # its public name, as in the original

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> None:
        self.mean = _per_channel(network_input.MEAN if mean is None else mean, "mean")
        self.std = _per_channel(network_input.STD if std is None else std, "std")

    def __call__(self, sample: Sample) -> Sample:
        """The sample with a normalised `input`."""
        return {**sample, "input": (sample["input"] - self.mean) / self.std}


def _target_tensors(sample: Sample) -> Sample:
    tensors: Sample = {}
    if "target_mask" in sample:
        mask = np.asarray(sample["target_mask"])[None]
        tensors["target_mask"] = torch.from_numpy(np.divide(mask, np.float32(255), dtype=np.float32))
    if "crop_yx" in sample:
        tensors["crop_yx"] = torch.from_numpy(np.asarray(sample["crop_yx"], dtype=np.float32))
    return tensors


def _per_channel(values: Sequence[float], name: str) -> torch.Tensor:
    if len(values) != 4:
        raise ValueError(f"{name} has {len(values)} values; expected 4, for R, G, B and the heat map")
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
