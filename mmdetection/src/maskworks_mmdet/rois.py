"""Detections as CSV, the table that older versions wrote: one row per object, or per part of an object's mask."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np

from maskworks.geometry import bounding_box, min_area_rectangle
from maskworks.types import Floats, Instance, Prediction, Region
from maskworks_mmdet.boxes import with_box_polygons
from maskworks_mmdet.options import MmdetFolderConfig

_CORNERS = ("x0", "y0", "x1", "y1")
_SIZES = ("x", "y", "w", "h")
_POLYGON = ("poly_x", "poly_y", "poly_xn", "poly_yn", "minrect_w", "minrect_h")


def encode_rois(prediction: Prediction, config: MmdetFolderConfig) -> bytes:
    """The table of one image, UTF-8. A column whose name ends in n is divided by the image's width or height.

    The columns of polygons are there if the model has masks; `minrect_w` and `minrect_h` are filled with
    --output_minrect.
    """
    box = _SIZES if config.output_width_height else _CORNERS
    header = ["file", *box, *(f"{name}n" for name in box), "label", "label_str", "score"]
    masks = any(instance.mask is not None for instance in prediction.instances)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header + list(_POLYGON if masks else ()))
    table.writerows(_rows(with_box_polygons(prediction, config.bbox_as_fallback), config, masks))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _rows(prediction: Prediction, config: MmdetFolderConfig, masks: bool) -> Iterator[list[object]]:
    height, width = prediction.request.size
    scale = np.array([width, height], np.float64)
    for instance, regions in zip(prediction.instances, prediction.regions, strict=True):
        for region in regions:
            box = _box(instance, region, config)
            values = [*box.tolist(), *(box / np.tile(scale, 2)).tolist()]
            row = [prediction.request.id, *_shown(values), instance.meta["class"], instance.name, instance.score]
            yield row + (_polygon(region, scale, config.output_minrect) if masks else [])


def _box(instance: Instance, region: Region, config: MmdetFolderConfig) -> Floats:
    """The four numbers of the box columns."""
    if instance.box is None or config.fit_bbox_to_polygon:
        box = np.array(bounding_box(region.outer), np.float64)
    else:
        box = instance.box
    return np.concatenate([box[:2], box[2:] - box[:2]]) if config.output_width_height else box


def _polygon(region: Region, scale: Floats, minrect: bool) -> list[object]:
    lists = [*region.outer.T.tolist(), *(region.outer / scale).T.tolist()]
    rectangle = _shown(min_area_rectangle(region.outer)) if minrect else ["", ""]
    return [*(",".join(map(str, _shown(values))) for values in lists), *rectangle]


def _shown(values: Sequence[float]) -> list[object]:
    return [round(value, 6) for value in values]
