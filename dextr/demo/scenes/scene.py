"""One made-up photo: objects on a background, lit, photographed, and which pixel is which object."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import photographed
from .lighting import blurred, dropped_shadow, light_direction, uneven_light
from .material import Material
from .objects import SMALLEST_AREA, Place, Studio, assembled, new_object, window_of
from .shapes import random_shape, rasterise
from .textures import Image, Size, patchwork, pick, surface

SMALLEST_SHARE = 0.45


def clutter(rng: np.random.Generator, image: Image, photos: Sequence[NDArray[np.uint8]], count: int) -> Image:
    """The image with ``count`` unlabelled shapes on it: what surrounds real objects."""
    for _ in range(count):
        shape = random_shape(rng)
        centre = rng.uniform(0, 1, 2) * image.shape[1::-1]
        mask = rasterise(shape, centre.tolist(), max(image.shape) * rng.uniform(0.03, 0.4), image.shape[:2])
        part = window_of(mask)
        if mask.any():
            image[part] += mask[part][..., None] * (surface(rng, mask[part].shape, photos, 0.4) - image[part])
    return image


def background(rng: np.random.Generator, size: Size, material: Material) -> Image:
    """Regions of different materials with clutter, sharp or out of focus."""
    image = patchwork(rng, size, material.photos, int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        image = clutter(rng, image, material.photos, int(rng.integers(1, 9)))
    return blurred(image, pick(rng, [0.0, 1.0, 3.0, 8.0], p=[0.6, 0.15, 0.15, 0.1]))


def cleaned(labels: NDArray[np.uint8], areas: dict[int, int]) -> NDArray[np.uint8]:
    """Labels without slivers: each connected region keeps its label only if it is a large part of its object."""
    kept = np.zeros_like(labels)
    for label, area in areas.items():
        _, regions, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=4)
        for region in range(1, len(stats)):
            if stats[region, cv2.CC_STAT_AREA] >= max(SMALLEST_AREA, SMALLEST_SHARE * area):
                kept[regions == region] = label
    return kept


def random_place(rng: np.random.Generator, size: Size, alone: bool) -> Place:
    """Where an object goes; one that is alone may fill the picture, any may be cut by its edge."""
    longest = max(size)
    radius = longest * (rng.uniform(0.2, 0.65) if alone else np.exp(rng.uniform(np.log(0.06), np.log(0.35))))
    margin = 0.3 if alone else pick(rng, [0.0, 0.15])
    return Place((rng.uniform(margin, 1 - margin, 2) * size[::-1]).tolist(), float(radius))


def random_scene(seed: int, material: Material) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A made-up photo and its objects; the same for the same seed and material.

    Returns:
        (h, w, 3) RGB uint8 and (h, w) uint8 labels: 0 background, 1.. objects (the visible part of each).
    """
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(224, 385)), int(rng.integers(224, 385)))
    image, studio = background(rng, size, material), Studio(light_direction(rng), material)
    labels, areas = np.zeros(size, np.uint8), {}
    count = int(rng.choice([1, 2, 4, 7], p=[0.3, 0.25, 0.25, 0.2]))
    shadows, focus = rng.random() < 0.6, pick(rng, [0.0, 0.7, 1.5], p=[0.6, 0.25, 0.15])
    for label in range(1, count + 1):
        place = random_place(rng, size, alone=label == 1 and count < 4)
        made = new_object(rng, image, place, studio)
        if made is None:
            continue
        if rng.random() < 0.3:
            made = assembled(rng, image, made, place, studio)
        rgb, mask = made
        if shadows:
            image = dropped_shadow(rng, image, mask, studio.light)
        soft = blurred(mask, focus)[..., None]
        image = image * (1 - soft) + rgb * soft
        labels[mask > 0.5] = label
        areas[label] = int((mask > 0.5).sum())
    return photographed(rng, uneven_light(rng, image)), cleaned(labels, areas)
