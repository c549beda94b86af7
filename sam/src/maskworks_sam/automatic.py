"""Masks for everything in an image, without prompts: a grid of clicks, of whose masks the good and different ones stay.

The steps and their numbers are those of the package's `SamAutomaticMaskGenerator`, which holds masks as large as the
image for many clicks at a time; here there is one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.utils.amg import build_point_grid
from torch import Tensor
from torchvision.ops import nms

from maskworks.packed_mask import PackedMask
from maskworks.types import Instance, Prompt
from maskworks_sam.decoder import Decoded, Decoder
from maskworks_sam.masks import cropped, full_masks

_SAME = 0.7  # IoU of the boxes of two masks, of which then one goes


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A mask that is good enough.

    Attributes:
        mask: the part of the image that holds the object.
        offset: x and y of its first pixel.
        area: how many pixels are inside.
        score: the model's own estimate of its IoU.
        stability: see `full_masks`.
        point: x and y of the click.
    """

    mask: PackedMask
    offset: tuple[int, int]
    area: int
    score: float
    stability: float | None
    point: list[float]

    @property
    def box(self) -> list[int]:
        """x0, y0, x1, y1; both ends belong to it."""
        (x, y), (height, width) = self.offset, self.mask.shape
        return [x, y, x + width - 1, y + height - 1]


class Everything:
    """Finds the objects of an image by a grid of clicks.

    Args:
        decoder: of the model.
        points_per_side: clicks in each row and column.
        pred_iou_thresh: masks that the model scores no higher are dropped.
        stability_score_thresh: masks that are less stable are dropped.
    """

    def __init__(
        self, decoder: Decoder, *, points_per_side: int, pred_iou_thresh: float, stability_score_thresh: float
    ) -> None:
        self._decoder, self._grid = decoder, build_point_grid(points_per_side)
        self._least_score, self._least_stability = pred_iou_thresh, stability_score_thresh

    def find(self, size: tuple[int, int], embedding: Tensor) -> Generator[None, None, list[Instance]]:
        """The objects, the largest first, numbered from 1, so that smaller ones lie on top.

        It yields between chunks of work, and returns the objects.

        Args:
            size: height and width of the image.
            embedding: (256, h, w) float32 of this image.
        """
        clicks = self._grid * size[::-1]
        prompts = [Prompt(clicks=click[None], click_labels=np.ones(1, np.uint8)) for click in clicks]
        found: list[_Candidate] = []
        for indices, decoded in self._decoder.chunks(embedding, prompts, size):
            yield
            for candidate in self._good(decoded, clicks[indices].tolist(), size):
                if candidate is not None:
                    found.append(candidate)
                yield
        return [
            Instance(
                candidate.mask,
                candidate.offset,
                label=number,
                score=round(candidate.score, 4),
                meta={"stability": _rounded(candidate.stability), "point": candidate.point},
            )
            for number, candidate in enumerate(sorted(_different(found), key=lambda one: -one.area), start=1)
        ]

    def _good(self, decoded: Decoded, points: list[list[float]], size: tuple[int, int]) -> Iterator[_Candidate | None]:
        """The masks of some clicks, None in place of those that are not good enough.

        Of the masks that the model makes of a click, the first is meant for clearer prompts and left out.
        """
        scores = decoded.scores[:, 1:]
        good = scores > self._least_score if self._least_score > 0 else torch.ones_like(scores, dtype=torch.bool)
        clicks = good.nonzero()[:, 0].tolist()
        full = full_masks(decoded.logits[:, 1:][good], size, self._decoder.side)
        for click, score, (pixels, stability) in zip(clicks, scores[good].tolist(), full, strict=True):
            if (stability or 0.0) < self._least_stability:
                yield None
                continue
            part, offset = cropped(pixels)
            area = int(np.count_nonzero(part))
            yield _Candidate(PackedMask.of(part), offset, area, score, stability, points[click])


def _different(found: list[_Candidate]) -> list[_Candidate]:
    """Those that are left of masks around the same box, the best first."""
    if not found:
        return []
    boxes = torch.tensor([candidate.box for candidate in found], dtype=torch.float32)
    scores = torch.tensor([candidate.score for candidate in found], dtype=torch.float32)
    return [found[index] for index in nms(boxes, scores, _SAME).tolist()]


def _rounded(stability: float | None) -> float | None:
    return None if stability is None else round(stability, 4)
