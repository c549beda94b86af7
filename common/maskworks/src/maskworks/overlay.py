"""Overlays: the image with masks, outlines and prompts drawn on it."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from maskworks.geometry import bands, overlap
from maskworks.types import Bytes, Instance, Prediction, Prompt, Region
from maskworks.wire.mask_png import palette

Colour = tuple[int, int, int]

_TINT = 0.45
_BAND = 64  # rows at a time
_LONGEST_SIDE = 1_000_000  # pixels; OpenCV, which is faster than Pillow, writes no longer ones
_WHITE, _BLACK, _RED = (255, 255, 255), (0, 0, 0), (255, 60, 60)


def draw_overlay(prediction: Prediction) -> Bytes:
    """The image, (H, W, 3) uint8 RGB, with every mask tinted and outlined in its colour and the prompts marked."""
    canvas = prediction.request.image.copy()
    width = max(1, round(max(canvas.shape[:2]) / 400))
    layers = list(zip(prediction.instances, prediction.regions, strict=True))
    for instance, regions in reversed(layers) if prediction.best_first else layers:
        colour = _colour(instance.palette_index)
        _tint(canvas, instance, colour)
        _outline(canvas, regions, colour, width)
    for prompt in prediction.request.prompts:
        _mark(canvas, prompt, width)
    return canvas


def encode_overlay(prediction: Prediction) -> bytes:
    """The picture of `draw_overlay` as a PNG file."""
    rgb = draw_overlay(prediction)
    if max(rgb.shape) > _LONGEST_SIDE:
        buffer = BytesIO()
        Image.fromarray(rgb).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
    for start in range(0, len(rgb), _BAND):  # OpenCV's order of colours, without a second picture
        rows = rgb[start : start + _BAND]
        rows[:] = rows[:, :, ::-1]
    _, data = cv2.imencode(".png", rgb, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def _colour(label: int) -> Colour:
    red, green, blue = palette()[3 * label : 3 * label + 3]
    return red, green, blue


def _tint(canvas: Bytes, instance: Instance, colour: Colour) -> None:
    mask = instance.pixels()
    if mask is None:
        return
    target, source = overlap(mask.shape, instance.offset, canvas.shape[:2])
    for part, inside in bands(canvas[target], mask[source]):
        tinted = cv2.addWeighted(part, 1 - _TINT, np.full_like(part, colour), _TINT, 0)
        part[:] = cv2.copyTo(tinted, inside, part.copy())


def _outline(canvas: Bytes, regions: tuple[Region, ...], colour: Colour, width: int) -> None:
    rings = [ring for region in regions for ring in (region.outer, *region.holes)]
    cv2.polylines(canvas, rings, True, _WHITE, width + 2, cv2.LINE_AA)
    cv2.polylines(canvas, rings, True, colour, width, cv2.LINE_AA)


def _mark(canvas: Bytes, prompt: Prompt, width: int) -> None:
    """Extreme points as red dots, clicks as green (object) and red (background) dots, boxes as frames."""
    if prompt.box is not None:
        x0, y0, x1, y1 = (round(float(v)) for v in prompt.box)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _BLACK, width + 2, cv2.LINE_AA)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _WHITE, width, cv2.LINE_AA)
    if prompt.extreme_points is not None:
        for point in prompt.extreme_points:
            _dot(canvas, point, _RED, width)
    if prompt.clicks is not None and prompt.click_labels is not None:
        for point, label in zip(prompt.clicks, prompt.click_labels, strict=True):
            _dot(canvas, point, (60, 220, 60) if label else _RED, width)


def _dot(canvas: Bytes, point: np.ndarray, colour: Colour, width: int) -> None:
    height, length = canvas.shape[:2]
    x, y = (round(float(value)) for value in point)
    if -100 <= x <= length + 100 and -100 <= y <= height + 100:
        cv2.circle(canvas, (x, y), 3 * width + 1, _WHITE, -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, y), 2 * width + 1, colour, -1, cv2.LINE_AA)
