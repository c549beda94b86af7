"""Boxes of the model and polygons: which of them is written where the other one is missing or too small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskworks.geometry import bounding_box
from maskworks.types import Floats, Instance, Prediction, Region


def with_box_polygons(prediction: Prediction, least_cover: float) -> Prediction:
    """The prediction with boxes as polygons for objects without mask, or whose polygons cover too little.

    Args:
        prediction: instances with boxes.
        least_cover: if 0 or more, the part of the model's box, by area, that the box around all polygons of an object
            has to cover; below it the model's box becomes the only polygon.
    """
    pairs = zip(prediction.instances, prediction.regions, strict=True)
    regions = tuple(_regions(instance, own, least_cover) for instance, own in pairs)
    return replace(prediction, regions=regions)


def box_region(box: Floats) -> Region:
    """The rectangle of a box, (4,) of x0, y0, x1, y1, with rounded corners."""
    x0, y0, x1, y1 = np.rint(box).astype(np.int32).tolist()
    return Region(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.int32))


def _regions(instance: Instance, regions: tuple[Region, ...], least_cover: float) -> tuple[Region, ...]:
    if instance.box is None or (regions and _cover(instance.box, regions) >= least_cover):
        return regions
    return (box_region(instance.box),)


def _cover(box: Floats, regions: tuple[Region, ...]) -> float:
    """Area of the box around all regions, from the outer sides of its pixels, as a part of the area of `box`."""
    x0, y0, x1, y1 = bounding_box(np.concatenate([region.outer for region in regions]))
    area = max(float((box[2] - box[0]) * (box[3] - box[1])), 1e-9)
    return (x1 + 1 - x0) * (y1 + 1 - y0) / area
