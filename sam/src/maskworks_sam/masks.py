"""Which of the model's masks are the answer, and how they become masks of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maskworks.geometry import as_uint8
from maskworks.types import Prompt
from maskworks_sam.decoder import Decoded, is_single_click
from maskworks_sam.preprocessing import input_size

# A pixel is stable if its logit is not between these.
_STABLE = (1.0, -1.0)
_BY_AREA = frozenset({"largest", "smallest", "all"})
_UPSCALED_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A mask of the image.

    Attributes:
        pixels: (h, w) bool, the part of the mask that starts at `offset`; beyond it there is nothing of the object.
        offset: x and y of its first pixel in the image.
        prompt: the index of its prompt.
        output: which of the model's masks it is; 0 is the one for clear prompts.
        score: the model's own estimate of its IoU.
        stability: IoU of the masks at logits of 1 and of -1; None if even the latter is empty.
        logits: (S, S) float32 at low resolution.
    """

    pixels: NDArray[np.bool_]
    offset: tuple[int, int]
    prompt: int
    output: int
    score: float
    stability: float | None
    logits: Tensor


def chosen_masks(
    decoded: Decoded, prompts: Sequence[Prompt], choice: str, size: tuple[int, int], side: int
) -> Iterator[Mask]:
    """The masks that answer the prompts of an image, in the order of the prompts, made when asked for.

    Args:
        decoded: all masks of the model.
        prompts: what was asked.
        choice: for prompts without one of their own. `auto` takes the best of the three for a single click, and the one
            for clear prompts otherwise; `best`, `largest`, `smallest` take one of the three, `best` by the model's own
            score; `first` takes the first of the three, as the original command did; `single` takes the one for clear
            prompts; `all` takes the three, the largest first.
        size: height and width of the image in pixels.
        side: of the network's input.
    """
    inner = input_size(*size, side)
    scores = decoded.scores.cpu().numpy()
    choices = [prompt.mask_choice or choice for prompt in prompts]
    by_area = not _BY_AREA.isdisjoint(choices)
    areas = _areas(decoded.logits, inner, side) if by_area else np.zeros_like(scores)
    picks = [
        (index, int(output))
        for index, (prompt, own) in enumerate(zip(prompts, choices, strict=True))
        for output in _outputs(own, is_single_click(prompt), scores[index], areas[index])
    ]
    rows, outputs = (torch.tensor(column, device=decoded.logits.device) for column in zip(*picks, strict=True))
    logits = decoded.logits[rows, outputs]
    full = full_masks(logits, size, side)
    for (index, output), low, (pixels, stability) in zip(picks, logits, full, strict=True):
        yield Mask(*cropped(pixels), index, output, float(scores[index, output]), stability, low)


def cropped(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The part of a mask (H, W) that holds all of the object, as a copy, and x and y of its first pixel.

    Of an empty mask a pixel is left, as OpenCV crashes on images without any.
    """
    x, y, width, height = cv2.boundingRect(as_uint8(mask))
    return mask[y : y + max(height, 1), x : x + max(width, 1)].copy(), (x, y)


def _outputs(choice: str, single_click: bool, scores: NDArray[np.float32], areas: NDArray[np.float32]) -> list[int]:
    if choice == "single" or (choice == "auto" and not single_click) or len(scores) == 1:
        return [0]
    if choice == "first":
        return [1]
    by_area = 1 + np.argsort(-areas[1:], kind="stable")
    if choice == "all":
        return [int(output) for output in by_area]
    if choice == "largest":
        return [int(by_area[0])]
    if choice == "smallest":
        return [int(([output for output in by_area if areas[output]] or [by_area[-1]])[-1])]
    return [1 + int(scores[1:].argmax())]


def _areas(logits: Tensor, inner: tuple[int, int], side: int) -> NDArray[np.float32]:
    """(N, K) numbers of positive logits in the part of the low-resolution masks that shows the image."""
    rows, columns = (-(-length * logits.shape[-1] // side) for length in inner)
    return (logits[..., :rows, :columns] > 0).sum((-1, -2)).float().cpu().numpy()


def full_masks(logits: Tensor, size: tuple[int, int], side: int) -> Iterator[tuple[NDArray[np.bool_], float | None]]:
    """Masks of the image, (H, W), and their stability, from logits (M, S, S) that are enlarged a few at a time."""
    inner = input_size(*size, side)
    most = max(1, _UPSCALED_BYTES // (4 * max(size[0] * size[1], side * side)))
    for first in range(0, len(logits), most):
        enlarged = enlarge(logits[first : first + most], inner, size, side)
        # `sum` would make 64-bit numbers of all pixels first.
        counts = [torch.count_nonzero(mask > offset) for mask in enlarged for offset in _STABLE]
        shares = torch.stack(counts).view(-1, 2).tolist()
        inside = (enlarged > 0).cpu().numpy()
        del enlarged
        for pixels, (smaller, larger) in zip(inside, shares, strict=True):
            yield pixels, smaller / larger if larger else None


def enlarge(logits: Tensor, inner: tuple[int, int], size: tuple[int, int], side: int) -> Tensor:
    """Logits (M, S, S) of the padded input -> (M, H, W) of the image, bilinear in two steps, as in the package."""
    padded = F.interpolate(logits[None], (side, side), mode="bilinear", align_corners=False)
    part = padded[..., : inner[0], : inner[1]]
    return F.interpolate(part, size, mode="bilinear", align_corners=False)[0]
