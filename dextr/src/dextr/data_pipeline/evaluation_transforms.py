"""The transforms of validation: extreme points from a mask, then the crop that inference makes."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dextr.data_pipeline.extreme_points import pick_points
from dextr.data_pipeline.random_state import TransformRandom
from dextr.data_pipeline.sample import Sample, Size, outline_of
from dextr.inference import crop
from dextr.inference.crop import CropBox
from dextr.inference.heatmap import gaussian_heatmap
from dextr.inference.paste import paste_patch
from dextr.inference.pixels import ImageLike


class DextrFindExtremesTransform:
    """Pick extreme points of the mask.

    Takes `input`, `target_mask`, `target_mask_outline`; gives these and `extreme_points`.

    Args:
        target_size_yx: the size to which the object's box is scaled for picking.
        extreme_range: how far, in pixels of that size, a point may be from the end of the object that it marks.
        rng: source of randomness of the main process; see `TransformRandom`.
        object_seed: where given, `rng` is not used: each object's draws follow from this number and its outline, in any
            order and in any process.
    """

    __module__ = "dextr.data_pipeline.dextr_transforms"  # its public name, as in the original

    def __init__(
        self,
        target_size_yx: Size,
        extreme_range: int,
        rng: np.random.RandomState | None = None,
        *,
        object_seed: int | None = None,
    ) -> None:
        self.target_size_yx = target_size_yx
        self.extreme_range = extreme_range
        self.object_seed = object_seed
        self._random = TransformRandom(rng)

    @property
    def rng(self) -> np.random.RandomState:
        """The random state of this process."""
        return self._random.state

    def __call__(self, sample: Sample) -> Sample:
        """The sample with its extreme points.

        Raises:
            ValueError: image and mask differ in size, or the mask has no outline.
        """
        outline = outline_of(sample)
        rng = self.rng if self.object_seed is None else _object_state(self.object_seed, outline)
        low, high = outline.min(axis=0), outline.max(axis=0) + 1
        size, scale = (self.target_size_yx[1], self.target_size_yx[0]), (high - low) / self.target_size_yx
        box = (low[1], low[0], high[1], high[0])
        mask = sample["target_mask"].transform(size, Image.Transform.EXTENT, box, Image.Resampling.NEAREST)
        picks = pick_points(np.asarray(mask) > 127, (outline + 0.5 - low) / scale, self.extreme_range, rng)
        keys = ("input", "target_mask", "target_mask_outline")
        return {**{key: sample[key] for key in keys}, "extreme_points": low + picks * scale}


def _object_state(seed: int, outline: NDArray[np.int64]) -> np.random.RandomState:
    return np.random.RandomState([seed, zlib.crc32(np.ascontiguousarray(outline).tobytes())])


class DextrCropWithHeatmapTransform:
    """Crop image and mask at the extreme points, as inference does.

    Takes `input`, `extreme_points` and, where present, `target_mask`; gives `input`, `heatmap`, `crop_yx` and the
    cropped `target_mask`. The last argument has no effect; it is the original's.
    """

    __module__ = "dextr.data_pipeline.dextr_transforms"  # its public name, as in the original

    def __init__(
        self, target_size_yx: Size, padding: int, blob_sigma: float = 10.0, keep_original_mask: bool = False
    ) -> None:
        self.target_size_yx = target_size_yx
        self.padding = padding
        self.blob_sigma = blob_sigma
        self.keep_original_mask = keep_original_mask

    def __call__(self, sample: Sample) -> Sample:
        """The cropped sample."""
        image, mask, heatmap, crop_yx = crop_with_heatmap(
            sample["input"],
            sample.get("target_mask"),
            self.target_size_yx,
            self.padding,
            sample["extreme_points"],
            self.blob_sigma,
        )
        cropped: Sample = {"input": image, "heatmap": heatmap, "crop_yx": crop_yx}
        return cropped if mask is None else {**cropped, "target_mask": mask}


def crop_with_heatmap(
    input_image: ImageLike,
    target_mask: Image.Image | None,
    target_size_yx: Size,
    padding: int,
    extreme_points: ArrayLike,
    blob_sigma: float,
) -> tuple[Image.Image, Image.Image | None, NDArray[np.float32], CropBox]:
    """Crop an image, and its mask if there is one, at the extreme points (rows [y, x]).

    Returns:
        The image's crop (RGB), the mask's crop or None, the heat map (float32 (h, w), the sum of the points'
        Gaussians), and the crop's box, float64 (2, 2). The image is cropped at the box truncated to whole pixels, the
        mask at the box itself.

    Raises:
        ValueError: unusable points or padding; see `crop.extreme_points` and `crop.crop_box`.
    """
    points = crop.extreme_points(extreme_points)
    crop_yx = crop.crop_box(points, target_size_yx, padding)
    heatmap = gaussian_heatmap(crop.points_in_crop(points, crop_yx, target_size_yx), target_size_yx, blob_sigma)
    image = Image.fromarray(crop.crop_image(input_image, crop_yx, target_size_yx))
    mask = None if target_mask is None else crop_mask(target_mask, crop_yx, target_size_yx)
    return image, mask, heatmap, crop_yx


def crop_mask(mask: Image.Image, crop_yx: CropBox, target_size_yx: Size) -> Image.Image:
    """The part of a mask (mode L) under a crop, whose box is not truncated here, in the target's size."""
    (y0, x0), (y1, x1) = crop_yx.tolist()
    size = (target_size_yx[1], target_size_yx[0])
    return mask.transform(size, Image.Transform.EXTENT, (x0, y0, x1, y1), Image.Resampling.BILINEAR)


def paste_mask_into_image(image_size: Size, mask_arr: NDArray[np.generic], target_crop: ArrayLike) -> Image.Image:
    """The mask of a crop, back in its image.

    Args:
        image_size: height and width of the image.
        mask_arr: (h, w), uint8, or float of 0 to 1, which becomes the truncated 255-fold.
        target_crop: (2, 2), [[y0, x0], [y1, x1]].

    Returns:
        Mode L, of the image's size, 0 outside the crop.
    """
    mask = np.asarray(mask_arr)
    if mask.dtype != np.uint8:
        mask = (mask * 255).astype(np.uint8)
    patch = paste_patch(mask, np.asarray(target_crop, dtype=np.float64), image_size)
    return Image.fromarray(patch.in_image(image_size))
