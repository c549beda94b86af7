"""From images and extreme points to pasted masks: crop, heat map, forward pass, paste."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from dextr.inference.crop import CropBox, CropSettings, Points, crop_box, crop_image, points_in_crop
from dextr.inference.heatmap import gaussian_heatmap
from dextr.inference.network_input import normalise_into
from dextr.inference.paste import NOTHING, Patch, paste_patch, pasted_box
from dextr.inference.pixels import ImageLike, image_size


class InputBatches(Dataset[torch.Tensor]):
    """The network's inputs, in batches: item i is float32 (n, 4, h, w) with n <= batch_size. Made when asked for."""

    def __init__(
        self,
        images: Sequence[ImageLike],
        points: Sequence[Points],
        crops: Sequence[CropBox],
        settings: CropSettings,
        batch_size: int,
    ) -> None:
        self.objects = list(zip(images, points, crops, strict=True))
        self.settings = settings
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.objects) / self.batch_size)

    def __getitem__(self, index: int) -> torch.Tensor:
        size, sigma = self.settings.target_size_yx, self.settings.blob_sigma
        objects = self.objects[index * self.batch_size : (index + 1) * self.batch_size]
        batch = np.empty((len(objects), 4, *size), dtype=np.float32)
        for channels, (image, points, crop) in zip(batch, objects, strict=True):
            heatmap = gaussian_heatmap(points_in_crop(points, crop, size), size, sigma)
            normalise_into(channels, crop_image(image, crop, size), heatmap)
        return torch.from_numpy(batch)


def predict_patches(
    net: nn.Module,
    settings: CropSettings,
    images: Sequence[ImageLike],
    points: Sequence[Points],
    *,
    device: torch.device,
    batch_size: int,
    num_workers: int,
) -> list[Patch]:
    """One patch per image and set of points, in their order; see `DextrModel.predict_patches`."""
    sizes = [image_size(image) for image in images]
    crops = [crop_box(rows, settings.target_size_yx, settings.padding) for rows in points]
    patches = [NOTHING] * len(crops)
    # A crop that has no extent or misses the image gives an empty mask without the net.
    visible = [i for i, (crop, size) in enumerate(zip(crops, sizes, strict=True)) if pasted_box(crop, size) is not None]
    batches = InputBatches(
        [images[i] for i in visible], [points[i] for i in visible], [crops[i] for i in visible], settings, batch_size
    )
    loader: Iterable[torch.Tensor]
    if num_workers > 0:
        for image, _, _ in batches.objects:
            if isinstance(image, Image.Image):
                image.load()  # here: the place in an open file is shared among processes
        loader = DataLoader(batches, batch_size=None, num_workers=num_workers)
    else:
        loader = (batches[i] for i in range(len(batches)))
    with evaluating(net), torch.inference_mode():
        masks = (mask for batch in loader for mask in _masks(net, batch.to(device)))
        for i, mask in zip(visible, masks, strict=True):
            patches[i] = paste_patch(mask, crops[i], sizes[i])
    return patches


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode (running statistics, no dropout) inside the block; afterwards every module is as it was."""
    in_training = [module for module in net.modules() if module.training]
    if in_training:
        net.eval()
    try:
        yield
    finally:
        for module in in_training:
            module.training = True


def _masks(net: nn.Module, batch: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """uint8 (n, h, w): 255 times the probability of channel 0, truncated as in the original."""
    logits: torch.Tensor = net(batch)["out"][:, 0]
    return torch.sigmoid(logits.float()).mul_(255).to(torch.uint8).cpu().numpy()
