"""Masks for everything in an image, without prompts: the package's generator on our encoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import rle_to_mask
from torch import Tensor

from maskworks.types import Instance
from maskworks_sam.masks import cropped
from maskworks_sam.preprocessing import input_size

_LABELS = 255
_MOST_CLICKS = 64
# For the logits of all masks of the clicks that are decoded together; the package takes about twice as much.
_MASKS_BYTES = 512 * 2**20


class Everything:
    """Finds the objects of an image by a grid of clicks.

    Args:
        sam: the model.
        settings: arguments of the package's `SamAutomaticMaskGenerator`.
    """

    def __init__(self, sam: Sam, **settings: float) -> None:
        self._sam, self._settings = sam, settings

    def find(self, image: NDArray[np.uint8], embedding: Tensor) -> list[Instance]:
        """The objects, the largest first, so that smaller ones lie on top; labels start again after 255.

        Args:
            image: (H, W, 3) uint8 RGB.
            embedding: (256, h, w) float32 of this image.
        """
        together = _MASKS_BYTES // (4 * self._sam.mask_decoder.num_mask_tokens * image.shape[0] * image.shape[1])
        generator = SamAutomaticMaskGenerator(
            self._sam,
            points_per_batch=min(max(together, 1), _MOST_CLICKS),
            output_mode="uncompressed_rle",  # not an array of the image's size for each mask
            **self._settings,
        )
        generator.predictor = _Embedded(self._sam, embedding)
        found = sorted(generator.generate(image), key=lambda entry: -entry["area"])
        return [
            Instance(
                *cropped(rle_to_mask(entry["segmentation"])),
                label=1 + index % _LABELS,
                score=round(entry["predicted_iou"], 4),
                meta={"stability": round(entry["stability_score"], 4), "point": entry["point_coords"][0]},
            )
            for index, entry in enumerate(found)
        ]


class _Embedded(SamPredictor):  # type: ignore[misc]  # the package has no types
    """The package's predictor for one image whose embedding is known."""

    def __init__(self, sam: Sam, embedding: Tensor) -> None:
        super().__init__(sam)
        self._embedding = embedding[None].to(sam.device)

    def set_image(self, image: NDArray[np.uint8], image_format: str = "RGB") -> None:
        height, width = image.shape[:2]
        self.reset_image()
        self.original_size, self.input_size = (height, width), input_size(height, width, self.transform.target_length)
        self.features, self.is_image_set = self._embedding, True
