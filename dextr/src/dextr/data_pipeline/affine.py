"""Stacks of 2-D affine matrices.

A stack is a float32 array of shape (N, 2, 3). Each matrix acts on column vectors (x, y): x to the right, y down, in
pixels. Image sizes are (H, W), in the order of `array.shape`.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Matrices = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Size = tuple[int, int]


def identity_xf(N: int) -> Matrices:
    """N identity matrices, (N, 2, 3)."""
    matrices = np.zeros((N, 2, 3), dtype=np.float32)
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1
    return matrices


def inv_nx2x2(X: Matrices) -> Matrices:
    """Inverses of the (N, 2, 2) matrices `X`; a singular one gives infinities or NaN, as a division by zero does."""
    # One reciprocal and four products round as in the original, on which the last bits of a warp depend.
    reciprocal = 1 / (X[:, 0, 0] * X[:, 1, 1] - X[:, 0, 1] * X[:, 1, 0])
    adjugate = np.stack([X[:, 1, 1], -X[:, 0, 1], -X[:, 1, 0], X[:, 0, 0]], axis=1).reshape(-1, 2, 2)
    return (adjugate * reciprocal[:, None, None]).astype(np.float32)


def inv_nx2x3(m: Matrices) -> Matrices:
    """Inverses of the affine matrices `m`, (N, 2, 3)."""
    linear = inv_nx2x2(m[:, :, :2])
    return np.concatenate([linear, -(linear @ m[:, :, 2:])], axis=2).astype(np.float32)


def cat_nx2x3_2(a: Matrices, b: Matrices) -> Matrices:
    """Products a.b of two stacks, (N, 2, 3): `b` acts first. A stack of one matrix is broadcast."""
    linear = a[:, :, :2] @ b[:, :, :2]
    offset = a[:, :, :2] @ b[:, :, 2:] + a[:, :, 2:]
    return np.concatenate([linear, offset], axis=2).astype(np.float32, copy=False)


def cat_nx2x3(*x: Matrices) -> Matrices:
    """Product of one or more stacks, (N, 2, 3): the rightmost acts first."""
    if not x:
        raise ValueError("cat_nx2x3: expected at least one stack of matrices, got none; use identity_xf(N)")
    return reduce(cat_nx2x3_2, x)


def translation_matrices(xlats_xy: npt.ArrayLike) -> Matrices:
    """Translations by the rows (x, y) of an (N, 2) array."""
    offsets = np.asarray(xlats_xy, dtype=np.float32)
    matrices = identity_xf(len(offsets))
    matrices[:, :, 2] = offsets
    return matrices


def scale_matrices(scale_xy: npt.ArrayLike) -> Matrices:
    """Scalings about the origin by the rows (x, y) of an (N, 2) array."""
    scales = np.asarray(scale_xy, dtype=np.float32)
    matrices = identity_xf(len(scales))
    matrices[:, [0, 1], [0, 1]] = scales
    return matrices


def rotation_matrices(thetas: npt.ArrayLike) -> Matrices:
    """Rotations [[cos, sin], [-sin, cos]] about the origin by N angles in radians."""
    angles = np.asarray(thetas, dtype=np.float64)
    cos, sin = np.cos(angles), np.sin(angles)
    matrices = identity_xf(len(angles))
    matrices[:, :, :2] = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    return matrices


def flip_xyd_matrices(flip_flags_xyd: npt.NDArray[Any], image_size: Size) -> Matrices:
    """Flips of the pixel indices of an image: x to W-1-x, y to H-1-y, and last an exchange of the axes (the diagonal).

    Args:
        flip_flags_xyd: (N, 3), true or not 0 to flip: columns x, y, diagonal.
        image_size: (H, W).

    Raises:
        ValueError: the flags have another shape.
    """
    flags = np.asarray(flip_flags_xyd)
    if flags.ndim != 2 or flags.shape[1] != 3:
        raise ValueError(f"flip_flags_xyd: expected shape (N, 3), got {flags.shape}; give one row [x, y, d] per matrix")
    flip = flags[:, :2].astype(bool)
    last_index_xy = np.array([image_size[1] - 1, image_size[0] - 1], dtype=np.float32)
    matrices = scale_matrices(np.where(flip, -1.0, 1.0))
    matrices[:, :, 2] = np.where(flip, last_index_xy, 0.0)
    diagonal = flags[:, 2].astype(bool)
    matrices[diagonal] = matrices[diagonal][:, ::-1]
    return matrices


def centre_xf(xf: Matrices, size: Size) -> Matrices:
    """The matrices `xf` taken about the centre (W/2, H/2) of an image of `size` (H, W) instead of the origin."""
    centre = np.array([[size[1] * 0.5, size[0] * 0.5]])
    return cat_nx2x3(translation_matrices(centre), xf, translation_matrices(-centre))


def transform_points(xf: Matrices, points_xy: npt.ArrayLike) -> Points:
    """Points (N, 2), rows (x, y), under one matrix `xf` (2, 3): float64 (N, 2)."""
    return transform_vectors(xf, points_xy) + xf[:, 2]


def transform_vectors(xf: Matrices, vectors_xy: npt.ArrayLike) -> Points:
    """Vectors (N, 2), rows (x, y), under one matrix `xf` (2, 3) without its translation: float64 (N, 2)."""
    return np.asarray(vectors_xy, dtype=np.float64) @ xf[:, :2].T.astype(np.float64)


def cv_to_torch(mtx: Matrices, dst_size: Size, src_size: Size | None = None) -> Matrices:
    """Thetas for `torch.nn.functional.affine_grid` (align_corners=True) from matrices as `cv2.warpAffine` takes them.

    Args:
        mtx: (N, 2, 3), source to destination pixel indices.
        dst_size: (H, W) of the destination.
        src_size: (H, W) of the source; that of the destination by default.
    """
    src_size = dst_size if src_size is None else src_size
    return cat_nx2x3(_index_to_unit(src_size), inv_nx2x3(mtx), inv_nx2x3(_index_to_unit(dst_size)))


def pil_to_torch(mtx: Matrices, dst_size: Size, src_size: Size | None = None, align_corners: bool = True) -> Matrices:
    """Thetas for `torch.nn.functional.affine_grid` from matrices as `PIL.Image.transform` takes them.

    Args:
        mtx: (N, 2, 3), destination to source coordinates; pixel i covers the interval [i, i + 1).
        dst_size: (H, W) of the destination.
        src_size: (H, W) of the source; that of the destination by default.
        align_corners: the argument of `affine_grid` and `grid_sample`.
    """
    src_size = dst_size if src_size is None else src_size
    source, destination = (_extent_to_unit(size, align_corners) for size in (src_size, dst_size))
    return cat_nx2x3(source, mtx, inv_nx2x3(destination))


def _index_to_unit(size: Size) -> Matrices:
    """Pixel indices 0..W-1 to -1..1, one matrix (1, 2, 3)."""
    height, width = size
    matrix = scale_matrices([[2.0 / (width - 1), 2.0 / (height - 1)]])
    matrix[:, :, 2] = -1.0
    return matrix


def _extent_to_unit(size: Size, align_corners: bool) -> Matrices:
    """Pixel intervals 0..W to -1..1, or with `align_corners` the pixel centres 0.5..W-0.5 to -1..1, (1, 2, 3)."""
    if align_corners:
        return cat_nx2x3(_index_to_unit(size), translation_matrices([[-0.5, -0.5]]))
    height, width = size
    matrix = scale_matrices([[2.0 / width, 2.0 / height]])
    matrix[:, :, 2] = -1.0
    return matrix
