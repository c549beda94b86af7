"""How the original DEXTR makes its training samples, written anew from its formulas: the peer of a benchmark."""

from __future__ import annotations

from functools import cache
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from skimage.util import img_as_float

from benchmarks.original_dextr import MEAN, STD
from dextr.data_pipeline import affine
from dextr.data_pipeline.object_dataset import DextrDataset


class OriginalSamples:
    """The samples of a data set, made with PIL, SciPy and scikit-image in float64.

    Args:
        image_paths, label_paths: photos and their label images.
        objects: lists their objects.
        size, padding, extreme_range, noise_std, sigma: the settings of the training; `size` is both sides.
        in_memory: read every file once.
    """

    def __init__(
        self,
        image_paths: list[Path],
        label_paths: list[Path],
        objects: DextrDataset,
        size: int,
        padding: int,
        extreme_range: int,
        noise_std: float,
        sigma: float,
        in_memory: bool = False,
    ) -> None:
        self.paths = list(zip(image_paths, label_paths, strict=True))
        self.objects = objects
        self.size, self.padding, self.extreme_range = size, padding, extreme_range
        self.noise_std, self.sigma = noise_std, sigma
        self.read = cache(read) if in_memory else read

    def sample(self, index: int, key: tuple[int, ...]) -> dict[str, torch.Tensor]:
        """Object `index`, augmented as the random numbers of the key say: `input` and `target_mask`, float32."""
        self.rng = np.random.RandomState(key)
        image_i, label, region = self.objects.obj_meta_indices[index].tolist()
        image_path, label_path = self.paths[image_i]
        mask = np.array(self.read(label_path)) == label + 1
        if region >= 0:
            mask = ndimage.label(mask)[0] == region + 1
        target = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
        return self.tensors(*self.augmented(self.read(image_path), target, self.objects.obj_meta_outlines[index]))

    def augmented(self, image: Image.Image, target: Image.Image, outline: np.ndarray) -> tuple[Any, Any, np.ndarray]:
        size, inner = np.array([self.size, self.size]), self.size - 2 * self.padding
        flips = self.rng.binomial(1, 0.5, size=(1, 3)) * [[1, 0, 0]]
        turn = affine.rotation_matrices(self.rng.uniform(-radians(20), radians(20), size=(1,)))
        turn = affine.cat_nx2x3(turn, affine.flip_xyd_matrices(flips, (image.height, image.width)))
        turned = affine.transform_points(turn[0], outline[:, ::-1] + 0.5)
        low, high = np.floor(turned.min(axis=0)), np.ceil(turned.max(axis=0))
        to_box = affine.cat_nx2x3(
            affine.scale_matrices([size / (high - low)]), affine.translation_matrices([-low]), turn
        )
        points = self.picked(np.array(self.warp(target, to_box, Image.Resampling.NEAREST)) > 127)
        points = (points + self.rng.normal(size=(4, 2)) * self.noise_std)[:, ::-1]
        low = points.min(axis=0)
        scale = inner / np.maximum(points.max(axis=0) - low, 1)
        to_target = affine.cat_nx2x3(
            affine.translation_matrices([[self.padding, self.padding]]),
            affine.scale_matrices([scale]),
            affine.translation_matrices([-low]),
            to_box,
        )
        heatmap = self.heatmap((points - low) * scale + self.padding)
        bilinear = Image.Resampling.BILINEAR
        return self.warp(image, to_target, bilinear), self.warp(target, to_target, bilinear), heatmap

    def warp(self, image: Image.Image, matrix: np.ndarray, resample: Image.Resampling) -> Image.Image:
        inverse = affine.inv_nx2x3(matrix)[0].ravel().tolist()
        return image.transform((self.size, self.size), Image.Transform.AFFINE, inverse, resample)

    def picked(self, mask: np.ndarray) -> np.ndarray:
        pixels = np.argwhere(mask)
        y, x = pixels[:, 0], pixels[:, 1]
        reach = self.extreme_range
        near = (y <= y.min() + reach, y >= y.max() - reach, x <= x.min() + reach, x >= x.max() - reach)
        candidates = [pixels[chosen] for chosen in near]
        return np.stack([c[self.rng.randint(0, len(c)) if len(c) > 1 else 0] for c in candidates])

    def heatmap(self, points_xy: np.ndarray) -> np.ndarray:
        heat = np.zeros((self.size, self.size))
        along = np.arange(self.size)
        for x, y in points_xy:
            row, column = (np.exp(-((along - at) ** 2) / (2 * self.sigma**2)) for at in (y, x))
            heat = np.maximum(heat, row[:, None] * column[None, :])
        return heat

    def tensors(self, image: Image.Image, target: Image.Image, heatmap: np.ndarray) -> dict[str, torch.Tensor]:
        values = np.concatenate([img_as_float(np.array(image)), heatmap[:, :, None]], axis=2)
        inputs = torch.from_numpy(values.transpose(2, 0, 1).astype(np.float32))
        inputs = (inputs - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        return {
            "input": inputs,
            "target_mask": torch.from_numpy(img_as_float(np.array(target))[None].astype(np.float32)),
        }


def read(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image
