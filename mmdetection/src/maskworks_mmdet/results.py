"""What is written for an image: OPEX, rows of CSV, and the steps around them for folders and Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from maskworks.config import InputConfig
from maskworks.format import FolderFormat, MessageFormat
from maskworks.geometry import min_area_rectangle
from maskworks.overlay import encode_overlay
from maskworks.types import Job, Prediction, Region, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.request import address, decode_image_message, decode_pair
from maskworks_mmdet.boxes import with_box_polygons
from maskworks_mmdet.options import MmdetConfig, MmdetFolderConfig
from maskworks_mmdet.rois import encode_rois


def folder_format(config: MmdetFolderConfig, overlay: bool) -> FolderFormat:
    """Images in; OPEX or CSV out, called by the image's file name, the mask only if asked for."""
    return FolderFormat(
        decoder=decode_pair,
        encoder=partial(_encode_files, config=config, overlay=overlay),
        suffixes={"mask": ".png", "overlay": "-overlay.png", "result": config.suffix},
        keep_extension=True,
    )


def message_format(config: MmdetConfig) -> MessageFormat:
    """Image files in, OPEX out. Old clients know only by the order which answer is whose, so it is kept."""
    return MessageFormat(
        decoder=_decode_message, encoder=partial(_encode_message, config=config), address=address, in_order=True
    )


def opex(prediction: Prediction, config: MmdetConfig, timestamp: str | None = None) -> bytes:
    """The OPEX text of a prediction with the boxes, polygons and rectangles that the flags ask for."""
    return encode_opex(
        with_box_polygons(prediction, config.bbox_as_fallback),
        timestamp,
        model_boxes=not config.fit_bbox_to_polygon,
        facts=_rectangle if config.output_minrect else None,
    )


def _encode_files(prediction: Prediction, *, config: MmdetFolderConfig, overlay: bool) -> Mapping[str, bytes]:
    csv = config.prediction_format == "csv"
    parts = {"result": encode_rois(prediction, config) if csv else opex(prediction, config)}
    if config.prediction_mask:
        parts["mask"] = encode_mask(prediction.mask)
    if overlay:
        parts["overlay"] = encode_overlay(prediction)
    return parts


def _decode_message(job: Job, config: InputConfig) -> Request:
    """A request that remembers when the work on it started; without an id of its own, this is what it is called."""
    started = str(datetime.now())
    request = decode_image_message(job, config)
    return replace(
        request, id=request.id if request.named else started, image_meta={**request.image_meta, "started": started}
    )


def _encode_message(prediction: Prediction, *, config: MmdetConfig) -> Mapping[str, bytes]:
    return {"reply": opex(prediction, config, prediction.request.image_meta.get("started"))}


def _rectangle(region: Region) -> Mapping[str, str]:
    width, height = min_area_rectangle(region.outer)
    return {"minrect_w": f"{width:.2f}", "minrect_h": f"{height:.2f}"}
