"""Made-up objects: a mask, a surface, light on it. A canvas is a float32 RGB image in 0..1, a mask float32 in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .lighting import dropped_shadow, shaded
from .material import Cutout, Material
from .shapes import random_shape, rasterise
from .textures import Field, Image, Size, noise, patchwork, pick, surface

SMALLEST_AREA = 300

Painted = tuple[Image, Field]  # the colours of an object on an otherwise empty canvas, and its mask


@dataclass(frozen=True)
class Place:
    """Where an object is on the canvas: its centre [x, y] and half its longer side, in pixels."""

    centre: Sequence[float]
    radius: float


@dataclass(frozen=True)
class Studio:
    """What the objects of a scene share: the unit vector [x, y, z] towards the light, and the material."""

    light: Image
    material: Material


def window_of(mask: Field) -> tuple[slice, slice]:
    """The part of the canvas that holds everything of a mask and, where the canvas goes on, a little more."""
    x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    return slice(max(y - 2, 0), y + height + 2), slice(max(x - 2, 0), x + width + 2)


def rough_edge(rng: np.random.Generator, mask: Field) -> Field:
    """The mask with a displaced edge: fur, foliage, torn paper."""
    amount, cells = pick(rng, [1.5, 4.0]), rng.uniform(10, 60)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    dx, dy = (amount * 2 * (noise(rng, mask.shape, cells, 2) - 0.5) for _ in range(2))
    return np.asarray(cv2.remap(mask, x + dx, y + dy, cv2.INTER_LINEAR), np.float32)


def painted_parts(rng: np.random.Generator, image: Image, mask: Field, material: Material) -> Image:
    """The surface with one to six shapes painted on it: windows, prints, eyes."""
    ys, xs = np.nonzero(mask > 0.5)
    for _ in range(int(rng.integers(1, 7))):
        at = int(rng.integers(len(xs)))
        part = rasterise(random_shape(rng), (xs[at], ys[at]), np.sqrt(len(xs)) * rng.uniform(0.05, 0.45), mask.shape)
        image = image + part[..., None] * (surface(rng, mask.shape, material.photos, 0.3) - image)
    return image


def painted(rng: np.random.Generator, under: Image, mask: Field, material: Material) -> Image:
    """The surface of an object: one to four materials, parts, a border, sometimes the colours of what is behind it."""
    parts = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.25, 0.2, 0.15]))
    image = patchwork(rng, mask.shape, material.photos, parts)
    if rng.random() < 0.4:
        image = painted_parts(rng, image, mask, material)
    if rng.random() < 0.2:
        depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        border = np.clip(depth.max() * rng.uniform(0.05, 0.4) - depth + 0.5, 0, 1)[..., None]
        image = image + border * (surface(rng, mask.shape, material.photos, 0.2) - image)
    if rng.random() < 0.15:
        mean = (under * mask[..., None]).sum((0, 1)) / mask.sum()
        image = image + rng.uniform(0.3, 0.9) * (mean - (image * mask[..., None]).sum((0, 1)) / mask.sum())
    return np.clip(image, 0, 1).astype(np.float32)


def pasted(rng: np.random.Generator, cutout: Cutout, place: Place, size: Size) -> Painted:
    """A real object, turned, perhaps mirrored, and scaled."""
    height, width = cutout.alpha.shape
    scale, angle = 2 * place.radius / max(height, width), np.radians(rng.normal(0, 25))
    mirror = rng.choice((-1.0, 1.0))
    turn = scale * np.array(((mirror * np.cos(angle), -np.sin(angle)), (mirror * np.sin(angle), np.cos(angle))))
    matrix = np.hstack((turn, (np.array(place.centre) - turn @ (width / 2, height / 2))[:, None]))
    mode = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
    rgb = cv2.warpAffine(cutout.rgb, matrix, size[::-1], flags=mode, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(cutout.alpha, matrix, size[::-1], flags=mode)
    image = rgb.astype(np.float32) / np.float32(255)
    if rng.random() < 0.5:
        image = image[..., rng.permutation(3)]
    return image, alpha.astype(np.float32) / np.float32(255)


def new_object(rng: np.random.Generator, under: Image, place: Place, studio: Studio) -> Painted | None:
    """An object on top of the canvas ``under``; None if next to nothing of it is visible."""
    size, cutouts = under.shape[:2], studio.material.cutouts
    if cutouts and rng.random() < 0.07:
        rgb, mask = pasted(rng, cutouts[int(rng.integers(len(cutouts)))], place, size)
        return (rgb, mask) if (mask > 0.5).sum() >= SMALLEST_AREA else None
    mask = rasterise(random_shape(rng), place.centre, place.radius, size)
    if rng.random() < 0.2:
        mask = rough_edge(rng, mask)
    if (mask > 0.5).sum() < SMALLEST_AREA:
        return None
    part = window_of(mask)
    rgb = np.zeros_like(under)
    rgb[part] = painted(rng, under[part], mask[part], studio.material)
    if rng.random() < 0.7:
        rgb[part] = shaded(rng, rgb[part], mask[part], studio.light)
    return rgb, mask


def assembled(rng: np.random.Generator, under: Image, first: Painted, place: Place, studio: Studio) -> Painted:
    """One object of several: one to three more on and beside the first, each with its own surface and shadow."""
    rgb, mask = first
    for _ in range(int(rng.integers(1, 4))):
        distance, angle = place.radius * rng.uniform(0.1, 0.8), rng.uniform(0, 6.3)
        centre = place.centre + distance * np.array((np.cos(angle), np.sin(angle)))
        part = new_object(rng, under, Place(centre.tolist(), place.radius * rng.uniform(0.25, 0.8)), studio)
        if part is None:
            continue
        if rng.random() < 0.5:
            rgb = dropped_shadow(rng, rgb, part[1], studio.light)
        rgb = rgb + part[1][..., None] * (part[0] - rgb)
        mask = np.maximum(mask, part[1])
    return rgb, mask
