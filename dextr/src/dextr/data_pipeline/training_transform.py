"""Augmentation of a training sample."""

from __future__ import annotations

from math import radians

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.data_pipeline import affine
from dextr.data_pipeline.affine import Matrices, cat_nx2x3, scale_matrices, transform_points, translation_matrices
from dextr.data_pipeline.extreme_points import pick_points
from dextr.data_pipeline.random_state import TransformRandom
from dextr.data_pipeline.sample import Sample, Size, outline_of
from dextr.data_pipeline.warp import warp_bilinear, warp_mask
from dextr.inference import crop
from dextr.inference.heatmap import gaussian_heatmap

PointsXY = NDArray[np.float64]
PointsYX = NDArray[np.float64]


class DextrTrainingTransform:
    """Flip, rotate, pick noisy extreme points, and crop as these points say.

    Takes `input`, `target_mask`, `target_mask_outline`. Gives `input` (RGB) and `target_mask` (L) of the target's
    size, and `heatmap`: float32, the maximum of the points' Gaussians. The mask stays soft: it is not thresholded after
    the warp. An object too thin to survive the warp gets its points from its outline.

    Args:
        target_size_yx: height and width of the network's input.
        padding: distance in pixels of the target between the box of the extreme points and the border.
        extreme_range: how far, in pixels of the target, a point may be from the end of the object that it marks.
        noise_std: standard deviation of the Gaussian noise on the points, in pixels of the target.
        blob_sigma: standard deviation of the heat map's Gaussians, in pixels of the target.
        hflip: mirror half of the samples. The original ignores this argument; here False is honoured, and
            costs the same draws, so that seeds keep their meaning.
        rot_range: the angle is uniform in ±rot_range, in radians.
        fix_box_to_extreme: True: the box of the noisy points defines the crop, as in inference. False: the box of the
            object does.
        rng: source of randomness of the main process; see `TransformRandom`.
        whole_pixels: take the points at whole pixels of the image, and crop image and mask as inference does: the image
            at a box truncated to whole pixels. The original does neither in training, so a net does not learn to make
            up for it, which costs overlap where an object has few pixels.
    """

    __module__ = "dextr.data_pipeline.dextr_transforms"  # its public name, as in the original

    def __init__(
        self,
        target_size_yx: Size,
        padding: int,
        extreme_range: int,
        noise_std: float = 1.0,
        blob_sigma: float = 10.0,
        hflip: bool = True,
        rot_range: float = radians(20),
        fix_box_to_extreme: bool = True,
        rng: np.random.RandomState | None = None,
        *,
        whole_pixels: bool = False,
    ) -> None:
        crop.inner_size(target_size_yx, padding)  # raises here where a sample would
        self.target_size_yx = target_size_yx
        self.padding = padding
        self.extreme_range = extreme_range
        self.noise_std = noise_std
        self.blob_sigma = blob_sigma
        self.hflip = hflip
        self.rot_range = rot_range
        self.fix_box_to_extreme = fix_box_to_extreme
        self.whole_pixels = whole_pixels
        self._random = TransformRandom(rng)
        self._target_xy = np.array(target_size_yx[::-1], dtype=np.float64)

    @property
    def rng(self) -> np.random.RandomState:
        """The random state of this process."""
        return self._random.state

    def reseed(self, *key: int) -> None:
        """See `TransformRandom.reseed`."""
        self._random.reseed(*key)

    def __call__(self, sample: Sample) -> Sample:
        """The augmented sample.

        Raises:
            ValueError: image and mask differ in size, or the mask has no outline.
        """
        image, mask, points = self.augment(sample)
        return {
            "input": Image.fromarray(image),
            "target_mask": Image.fromarray(mask),
            "heatmap": gaussian_heatmap(points, self.target_size_yx, self.blob_sigma, combine="max"),
        }

    def augment(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8], PointsYX]:
        """The sample as arrays: image (h, w, 3), R, G, B; mask (h, w); points (4, 2), rows [y, x], in their pixels.

        Raises:
            ValueError: as for a call.
        """
        outline_xy = outline_of(sample)[:, ::-1].astype(np.float64) + 0.5
        image, mask, rng = sample["input"], sample["target_mask"], self.rng
        turn = self._draw_rotation_and_flip((image.height, image.width), rng)
        corners = transform_points(cat_nx2x3(*turn)[0], outline_xy)
        low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
        extent = np.maximum(high - low, 1.0)
        if self.fix_box_to_extreme:
            to_box = _box_to_target(low, self._target_xy / extent, 0, *turn)
            in_box = warp_mask(mask, to_box, self.target_size_yx, Image.Resampling.NEAREST)
            picks = self._pick(in_box, to_box, outline_xy, rng)
            if self.whole_pixels:
                return self._cropped_as_in_inference(image, mask, picks * extent / self._target_xy + low, turn)
            points, to_target = self._crop_at_points(picks, to_box)
            warped, target_mask = warp_bilinear(image, mask, to_target, self.target_size_yx)
        else:
            to_target = _box_to_target(low, self._inner_xy / extent, self.padding, *turn)
            warped, target_mask = warp_bilinear(image, mask, to_target, self.target_size_yx)
            points = self._pick(target_mask, to_target, outline_xy, rng)
        return warped, target_mask, points[:, ::-1]

    @property
    def _inner_xy(self) -> PointsXY:
        """Width and height of the target within its padding."""
        return crop.inner_size(self.target_size_yx, self.padding)[::-1]

    def _draw_rotation_and_flip(self, image_hw: Size, rng: np.random.RandomState) -> tuple[Matrices, Matrices]:
        # Three draws, as in the original, which discards the flips of y and of the diagonal.
        flips = rng.binomial(1, 0.5, size=(1, 3)) * [[self.hflip, False, False]]
        theta = rng.uniform(-self.rot_range, self.rot_range, size=(1,))
        return affine.rotation_matrices(theta), affine.flip_xyd_matrices(flips, image_hw)

    def _pick(
        self, warped: NDArray[np.uint8], matrix: Matrices, outline_xy: PointsXY, rng: np.random.RandomState
    ) -> PointsXY:
        """Four noisy extreme points of the warped mask: (4, 2), rows (x, y), pixels of the target."""
        outline_yx = transform_points(matrix[0], outline_xy)[:, ::-1]
        picks = pick_points(warped > 127, outline_yx, self.extreme_range, rng)
        return (picks + rng.normal(size=(4, 2)) * self.noise_std)[:, ::-1]

    def _cropped_as_in_inference(
        self, image: Image.Image, mask: Image.Image, picks: PointsXY, turn: tuple[Matrices, Matrices]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], PointsYX]:
        """The result of `augment`, for points (x, y) in the pixels of the turned image."""
        points = np.floor(picks)[:, ::-1]
        crop_yx = crop.crop_box(points, self.target_size_yx, self.padding)
        x0, y0, x1, y1 = crop.image_box(crop_yx)
        image_low, image_extent = np.array([x0, y0], dtype=float), np.maximum([x1 - x0, y1 - y0], 1)
        mask_low, mask_extent = crop_yx[0, ::-1], np.maximum((crop_yx[1] - crop_yx[0])[::-1], 1)
        to_target, mask_to_target = (
            _box_to_target(low, self._target_xy / extent, 0, *turn)
            for low, extent in ((image_low, image_extent), (mask_low, mask_extent))
        )
        warped, _ = warp_bilinear(image, mask, to_target, self.target_size_yx)
        target_mask = warp_mask(mask, mask_to_target, self.target_size_yx)
        return warped, target_mask, crop.points_in_crop(points, crop_yx, self.target_size_yx)

    def _crop_at_points(self, picks: PointsXY, to_box: Matrices) -> tuple[PointsXY, Matrices]:
        """The points in the target, and the matrix that puts their box inside the padding."""
        low = picks.min(axis=0)
        scale = self._inner_xy / np.maximum(picks.max(axis=0) - low, 1.0)
        return (picks - low) * scale + self.padding, _box_to_target(low, scale, self.padding, to_box)


def _box_to_target(low: PointsXY, scale: PointsXY, padding: int, *first: Matrices) -> Matrices:
    """The matrices `first`, and then the one that takes `low` to the corner of the padding and scales: (1, 2, 3).

    In float32 the order of the products matters: it is the original's, from the left.
    """
    corner = translation_matrices([[padding, padding]])
    return cat_nx2x3(corner, scale_matrices([scale]), translation_matrices([-low]), *first)
