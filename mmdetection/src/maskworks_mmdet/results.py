"""Results of an image: OPEX, rows of CSV, and the formats of folders and messages around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from maskworks.geometry import min_area_rectangle
from maskworks.overlay import encode_overlay
from maskworks.types import Address, ImageDecoder, Job, Prediction, Region, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.request import find_address, read_image_message, read_pair
from maskworks_mmdet.boxes import with_box_polygons
from maskworks_mmdet.options import MmdetConfig, MmdetFolderConfig
from maskworks_mmdet.rois import encode_rois


@dataclass(frozen=True)
class DetectionFiles:
    """Images in; OPEX or CSV out, called by the image's file name, the mask only if asked for."""

    config: MmdetFolderConfig
    overlay: bool
    keep_extension: ClassVar[bool] = True

    @property
    def suffixes(self) -> Mapping[str, str]:
        return {"mask": ".png", "overlay": "-overlay.png", "result": self.config.suffix}

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        return read_pair(job, decoder)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        encode = encode_rois if self.config.table else opex
        parts = {"result": encode(prediction, self.config)}
        if self.config.prediction_mask:
            parts["mask"] = encode_mask(prediction.mask)
        if self.overlay:
            parts["overlay"] = encode_overlay(prediction)
        return parts

    def address(self, job: Job) -> Address:
        return Address(job.id)


@dataclass(frozen=True)
class DetectionMessages:
    """Image files in, OPEX out. Old clients know only by the order which answer is whose, so it is kept."""

    config: MmdetConfig
    in_order: ClassVar[bool] = True

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        """A request that remembers when the work on it started; without an id of its own, this is what it is called."""
        started = str(datetime.now())
        request = read_image_message(job, decoder)
        meta = {**request.image_meta, "started": started}
        return replace(request, id=request.id if request.named else started, image_meta=meta)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        return {"reply": opex(prediction, self.config, prediction.request.image_meta.get("started"))}

    def address(self, job: Job) -> Address:
        return find_address(job.body)


def opex(prediction: Prediction, config: MmdetConfig, timestamp: str | None = None) -> bytes:
    """The OPEX text of a prediction with the boxes, polygons and rectangles that the flags ask for."""
    return encode_opex(
        with_box_polygons(prediction, config.bbox_as_fallback),
        timestamp,
        model_boxes=not config.fit_bbox_to_polygon,
        facts=_rectangle if config.output_minrect else None,
    )


def _rectangle(region: Region) -> Mapping[str, str]:
    width, height = min_area_rectangle(region.outer)
    return {"minrect_w": f"{width:.2f}", "minrect_h": f"{height:.2f}"}
