"""The sample that passes through the transforms: a dict, with these keys where they are known.

* `input`: PIL image; as a tensor float32 (4, h, w): R, G, B, heat map
* `target_mask`: PIL image of mode L, 0 to 255; as a tensor float32 (1, h, w), 0 to 1
* `target_mask_outline`: int (M, 2), rows [y, x]: the mask's pixels that have a neighbour outside of it
* `extreme_points`: float64 (4, 2), rows [y, x], pixels of the image
* `heatmap`: (h, w), 0 to about 1
* `crop_yx`: float64 (2, 2), [[y0, x0], [y1, x1]], continuous coordinates of the image
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Sample: TypeAlias = dict[str, Any]
Size: TypeAlias = tuple[int, int]


def outline_of(sample: Sample) -> NDArray[np.int64]:
    """The outline of the sample's mask, int64 (M, 2), rows [y, x].

    Raises:
        ValueError: it has no points, or image and mask differ in size.
    """
    image, mask = sample["input"], sample["target_mask"]
    if image.size != mask.size:
        raise ValueError(f"the image has {image.size} pixels (width, height), its mask {mask.size}; they must be equal")
    outline = np.asarray(sample["target_mask_outline"], dtype=np.int64)
    if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) == 0:
        raise ValueError(f"target_mask_outline has the shape {outline.shape}; expected (M, 2) with at least one row")
    return outline
