"""From instances to what is written of them, within bounds: the rings of each, and one mask for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from maskworks.config import InputConfig, ShapeConfig
from maskworks.errors import ImageTooLarge
from maskworks.geometry import drop_specks, paint, trace
from maskworks.types import Bytes, Instance, Instances, Mask, Region, Request

_MASKS_OF: Mapping[str | None, int] = {"all": 3}  # that a prompt may ask for, by its `mask_choice`
# Of all objects together. What is written of them takes some hundred megabytes at most.
_MOST_RINGS, _MOST_POINTS = 500_000, 20_000_000


def check_masks(request: Request, config: InputConfig) -> Request:
    """The request, if the masks of its objects may be as large as the image.

    Raises:
        ImageTooLarge: together they have more pixels than --max_mask_pixels.
    """
    height, width = request.size
    objects = sum(_MASKS_OF.get(prompt.mask_choice, 1) for prompt in request.prompts)
    if height * width * objects > config.max_mask_pixels:
        raise ImageTooLarge(
            f"image: masks of {width}x{height} pixels for {objects} objects are {height * width * objects} pixels; "
            f"expected at most {config.max_mask_pixels} (--max_mask_pixels): ask for fewer objects at a time"
        )
    return request


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What is drawn of the instances of an image; see `Prediction` for the attributes."""

    instances: tuple[Instance, ...]
    regions: tuple[tuple[Region, ...], ...]
    mask: Bytes


def draw(found: Instances, size: tuple[int, int], config: ShapeConfig) -> Drawing:
    """Traces and paints one instance after the other, as the mask of each may be as large as the image.

    Args:
        found: the instances.
        size: height and width of the image.
        config: how masks become rings.

    Raises:
        ImageTooLarge: the outlines have more points than an answer may have.
    """
    instances, regions, mask = list[Instance](), list[tuple[Region, ...]](), np.zeros(size, np.uint8)
    rings = points = 0
    for instance in found:
        pixels = _shown(instance, config)
        own = () if pixels is None else trace(pixels, instance.offset, config.simplify)
        if pixels is not None:
            paint(mask, pixels, instance.offset, instance.palette_index, below=found.best_first)
        specks_dropped = pixels is not None and config.min_area > 1
        instances.append(replace(instance, mask=pixels).packed() if specks_dropped else instance)
        regions.append(own)
        rings, points = rings + sum(1 + len(region.holes) for region in own), points + _points(own)
        if rings > _MOST_RINGS or points > _MOST_POINTS:
            raise ImageTooLarge(
                f"image: the outlines of its objects are {rings} or more, of {points} points; expected at most "
                f"{_MOST_RINGS} of {_MOST_POINTS}: ask for fewer objects at a time, or raise --simplify or --min_area"
            )
    return Drawing(tuple(instances), tuple(regions), mask)


def _shown(instance: Instance, config: ShapeConfig) -> Mask | None:
    """The pixels of an instance, without specks."""
    pixels = instance.pixels()
    return pixels if pixels is None or config.min_area <= 1 else drop_specks(pixels, config.min_area)


def _points(regions: Iterable[Region]) -> int:
    return sum(len(ring) for region in regions for ring in (region.outer, *region.holes))
