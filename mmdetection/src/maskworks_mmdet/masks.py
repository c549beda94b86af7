"""Masks as the heads give them, cut down to the part of the image that they cover."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import FCNMaskHead
from mmdet.structures.mask import BaseInstanceMasks
from numpy.typing import NDArray
from torch import Tensor, nn

from maskworks.geometry import as_uint8, fill, trace
from maskworks.types import Bytes, Region

# Part of a mask, (h, w) bool, or uint8 of 255 times the probability, and x and y of its first pixel in the image.
Part = tuple[NDArray[Any], tuple[int, int]]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Window:
    """The mask of an object as an R-CNN gives it, which is small however large the image is.

    Attributes:
        probabilities: (m, m) float32.
        box: (4,) of x0, y0, x1, y1 in the image; it may reach beyond it.
        size: height and width of the image.
        threshold: the least probability of a pixel of the object; negative for a part of probabilities.
    """

    probabilities: Tensor
    box: Floats32
    size: tuple[int, int]
    threshold: float

    def paste(self) -> Part:
        """The mask in its box: bilinear interpolation between pixel centres, as in Mask R-CNN."""
        (x0, y0, x1, y1), (cells_down, cells_across) = self.box, self.probabilities.shape
        columns, across = _weights(x0, x1, self.size[1], cells_across)
        rows, down = _weights(y0, y1, self.size[0], cells_down)
        # numpy's own threads would compete with those of torch here, and lose milliseconds.
        pixels = (torch.from_numpy(down) @ self.probabilities @ torch.from_numpy(across).T).numpy()
        inside = pixels >= self.threshold if self.threshold >= 0 else (pixels * 255).astype(np.uint8)
        return inside, (columns, rows)


def paste_into_boxes(model: nn.Module) -> None:
    """Makes the mask heads of R-CNNs paste each mask into its box only, not into an image of its own.

    Their masks are then lists of `Window`, each pasted when it is asked for, with the same pixels.
    """
    original = FCNMaskHead._predict_by_feat_single
    for module in model.modules():
        if isinstance(module, FCNMaskHead) and type(module)._predict_by_feat_single is original:
            module._predict_by_feat_single = MethodType(_paste, module)


def binary_parts(
    masks: Any, threshold: float | None, indices: Iterable[int] | None = None
) -> Iterator[tuple[Bytes, tuple[int, int]]]:
    """The masks of one image, one after the other: (h, w) uint8 of 0 and 1, and x and y of its first pixel.

    Args:
        masks: a list of `Window`; (N, H, W) or a list of (H, W), as tensors or arrays of any type; or the masks
            of MMDetection's own structures.
        threshold: the least probability of a pixel of the object, where masks are probabilities: of uint8, in steps of
            1/255, or of floats. None where each number but zero means the object, of floats each of at least a half.
        indices: the masks that are wanted, all of them by default.
    """
    for index in range(len(masks)) if indices is None else indices:
        mask = masks[index]
        if isinstance(mask, Window):
            part, offset = mask.paste()
            yield _binary(part, threshold), offset
            continue
        inside = _binary(_pixels(mask), threshold)
        x, y, width, height = cv2.boundingRect(inside)
        yield inside[y : y + height, x : x + width], (x, y)


def every_nth(mask: Bytes, offset: tuple[int, int], step: int) -> tuple[Bytes, tuple[int, int]]:
    """The mask that every `step`-th row and column of the image describe: rings through their pixels, filled.

    Args:
        mask: (h, w) uint8 of 0 and 1.
        offset: x and y of its first pixel in the image.
        step: 1 for the mask as it is.
    """
    if step == 1:
        return mask, offset
    left, top = -offset[0] % step, -offset[1] % step
    rest = mask[top:, left:]
    coarse = trace(rest[::step, ::step])
    scaled = [Region(region.outer * step, tuple(hole * step for hole in region.holes)) for region in coarse]
    return fill(scaled, (rest.shape[0], rest.shape[1])), (offset[0] + left, offset[1] + top)


def _paste(
    head: Any, mask_preds: Tensor, bboxes: Tensor, labels: Tensor, img_meta: dict[str, Any], rcnn_test_cfg: Any,
    rescale: bool = False, activate_map: bool = False,
) -> list[Window]:  # fmt: skip
    """Takes the place of `FCNMaskHead._predict_by_feat_single`, with its arguments; changes `bboxes` as that does."""
    probabilities = torch.as_tensor(mask_preds).to(bboxes) if activate_map else mask_preds.sigmoid()
    scale = bboxes.new_tensor(img_meta["scale_factor"]).repeat((1, 2))
    height, width = img_meta["ori_shape"][:2]
    if rescale:
        bboxes /= scale
    else:
        width, height = round(width * scale[0, 0].item()), round(height * scale[0, 1].item())
    if not head.class_agnostic:
        probabilities = probabilities[range(len(labels)), labels][:, None]
    # They are small: from a GPU nothing of the size of an image has to be copied.
    small, corners = probabilities[:, 0].float().cpu(), bboxes.float().cpu().numpy()
    return [
        Window(pixels, box, (height, width), rcnn_test_cfg.mask_thr_binary)
        for pixels, box in zip(small, corners, strict=True)
    ]


def _weights(start: np.float32, end: np.float32, size: int, cells: int) -> tuple[int, Floats32]:
    """Along one side of a box: its first pixel, and how much each pixel takes from each cell of the small mask.

    The weights are (pixels, cells). `size` is the image's; the side goes from `start` to `end`, one pixel more at both
    ends, because a cell fades out over its whole width.
    """
    first, last = min(max(math.floor(start) - 1, 0), size), min(math.ceil(end) + 1, size)
    centres = np.arange(first, max(first, last), dtype=np.float32) + np.float32(0.5)
    with np.errstate(all="ignore"):  # boxes may be as large as numbers get
        position = (centres - start) / (end - start) * 2 - 1
    position[np.isinf(position)] = 0  # a side without length shows the middle of the mask
    cell = ((position + 1) * cells - 1) / 2
    weights = np.maximum(0, 1 - np.abs(cell[:, None] - np.arange(cells, dtype=np.float32)))
    return first, weights.astype(np.float32)


def _pixels(mask: Any) -> NDArray[Any]:
    """(H, W) numbers of a mask in any of its forms."""
    if isinstance(mask, BaseInstanceMasks):
        mask = mask.to_ndarray()
    elif isinstance(mask, Tensor):
        mask = (mask.float() if mask.dtype == torch.bfloat16 else mask).detach().cpu().numpy()
    pixels = np.asarray(mask)
    return pixels.reshape(pixels.shape[-2:])


def _binary(mask: NDArray[Any], threshold: float | None) -> Bytes:
    if threshold is not None and mask.dtype == np.uint8:
        return as_uint8(mask >= math.ceil(round(255 * threshold, 6)))
    if np.issubdtype(mask.dtype, np.floating):
        return as_uint8(mask >= (0.5 if threshold is None else threshold))
    return as_uint8(mask if mask.dtype == np.bool_ else mask != 0)
