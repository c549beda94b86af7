"""Images of a training, read as the commands read them for a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio
from mmengine.config import Config

from maskworks.errors import RequestError, reason_of
from maskworks.images.signatures import FORMATS, kind_of
from maskworks.images.trusted import decode_trusted
from maskworks.types import Bytes
from maskworks_mmdet.repairs import parts

_NAME = "LoadImageFromFile"
_UPRIGHT = {"color": True, "grayscale": True, "color_ignore_orientation": False, "grayscale_ignore_orientation": False}


class UnreadableImage(ValueError):
    """An image file that cannot be read. torch brings it from another process, which it could not do with ours."""


class LoadTrainingImage(LoadImageFromFile):  # type: ignore[misc]  # mmcv has no types
    """`LoadImageFromFile` of MMDetection, with the reader of predictions.

    So more than 8 bits are stretched, and transparency, palettes, bands and pages mean what they mean there. Images are
    upright, as MMDetection has them. What this reader does not know, MMDetection's own reads: other formats, and
    `color_type="unchanged"`.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Adds `img`, (H, W, 3) BGR or (H, W) grey, uint8 or float32, and its sizes, to the facts about an image.

        Raises:
            UnreadableImage: the file is broken, and broken files are not to be left out.
        """
        upright = _UPRIGHT.get(self.color_type)
        if upright is None or self.file_client_args is not None:
            return self._original(results)
        path = results["img_path"]
        try:
            data = fileio.get(path, backend_args=self.backend_args)
            if kind_of(data) not in FORMATS:
                return self._original(results)
            rgb = decode_trusted(data, exif="apply" if upright else "ignore")
        except (RequestError, OSError) as error:
            if self.ignore_empty:
                return None
            reason = reason_of(error) if isinstance(error, OSError) else error.message
            raise UnreadableImage(f"{path}: {reason}; mend the file, or take it out of the annotations") from None
        image = self._as_asked(rgb)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results

    def _original(self, results: dict[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = super().transform(results)
        return found

    def _as_asked(self, rgb: Bytes) -> Any:
        conversion = cv2.COLOR_RGB2GRAY if self.color_type.startswith("grayscale") else cv2.COLOR_RGB2BGR
        image = cv2.cvtColor(rgb, conversion)
        return image.astype(np.float32) if self.to_float32 else image


def read_as_predicted(config: Config) -> None:
    """Lets `LoadImageFromFile` in the pipelines of a config be `LoadTrainingImage`; its name in the config stays."""
    for part in _steps(config):
        part["type"] = _NAME
    TRANSFORMS.register_module(name=_NAME, module=LoadTrainingImage, force=True)


def _steps(config: Config) -> Iterator[Any]:
    """The steps of all pipelines that read image files, whether they name the class or hold it."""
    for part in parts(dict(config.items())):
        kind = part.get("type")
        if kind is LoadImageFromFile or (isinstance(kind, str) and kind.rpartition(".")[2] == _NAME):
            yield part
