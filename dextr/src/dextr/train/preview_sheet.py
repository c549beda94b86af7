"""A picture of a model's predictions in a validation."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.train.batches import Batch
from dextr.train.job_files import JobFiles, replace_file

_TILE = 192
_COLUMNS = 4
_GAP = 4
_TRUTH, _PREDICTION = (64, 224, 64), (255, 48, 160)


class PredictionSheet:
    """Tiles of some objects' crops, spread evenly over all: the truth is outlined in green, the prediction in pink.

    Args:
        objects: the number of objects that will be shown to it.
        tiles: how many of them it keeps at most.
    """

    def __init__(self, objects: int, tiles: int = 16) -> None:
        self._wanted = set(np.linspace(0, objects - 1, min(tiles, objects)).astype(int).tolist())
        self._tiles: list[NDArray[np.uint8]] = []

    def watch(self, first: int, batch: Batch, masks: NDArray[np.uint8]) -> None:
        """Takes samples out of a batch; see `validation.validate`."""
        for index, mask in enumerate(masks):
            if first + index in self._wanted:
                truth, crop = (batch[name][index].numpy() for name in ("target_mask", "crop"))
                self._tiles.append(_tile(crop, truth, mask))

    def save(self, files: JobFiles) -> None:
        """Write the picture of the job."""
        rows = -(-len(self._tiles) // _COLUMNS)
        step = _TILE + _GAP
        sheet = np.full((rows * step + _GAP, _COLUMNS * step + _GAP, 3), 255, dtype=np.uint8)
        for number, tile in enumerate(self._tiles):
            y, x = (place * step + _GAP for place in divmod(number, _COLUMNS))
            sheet[y : y + _TILE, x : x + _TILE] = tile
        replace_file(files.sheet, lambda file: Image.fromarray(sheet).save(file, "PNG"))


def _tile(crop: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    tile: NDArray[Any] = cv2.resize(crop, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
    for drawn, colour in ((truth, _TRUTH), (mask, _PREDICTION)):
        inside = (cv2.resize(drawn, (_TILE, _TILE)) > 127).astype(np.uint8)
        rings, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, rings, -1, colour, 1)
    return tile.astype(np.uint8)
