"""Matrices against their definitions, and against what torch, OpenCV and PIL make of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample

from dextr.data_pipeline import affine


@pytest.fixture
def matrices():
    random = np.random.RandomState(0)
    return [random.normal(size=(3, 2, 3)).astype(np.float32) for _ in range(3)]


def square(matrix):
    """(N, 2, 3) as (N, 3, 3) in float64."""
    return np.concatenate([matrix.astype(float), np.tile([[[0.0, 0.0, 1.0]]], (len(matrix), 1, 1))], axis=1)


def test_products_and_inverses(matrices):
    a, b, c = matrices
    np.testing.assert_allclose(square(affine.cat_nx2x3_2(a, b)), square(a) @ square(b), atol=1e-5)
    np.testing.assert_allclose(square(affine.cat_nx2x3(a, b, c)), square(a) @ square(b) @ square(c), atol=1e-5)
    np.testing.assert_array_equal(affine.cat_nx2x3(a), a)
    np.testing.assert_allclose(square(affine.inv_nx2x3(a)), np.linalg.inv(square(a)), rtol=1e-4)
    np.testing.assert_allclose(affine.inv_nx2x2(a[:, :, :2]), np.linalg.inv(a[:, :, :2]), rtol=1e-4)
    np.testing.assert_array_equal(affine.cat_nx2x3(affine.identity_xf(3), a), a)
    with pytest.raises(ValueError, match="at least one stack"):
        affine.cat_nx2x3()


def test_elementary_matrices_act_on_x_y():
    points = np.array([[1.0, 2.0], [3.0, 5.0]])

    def apply(matrix):
        assert (matrix.dtype, matrix.shape) == (np.float32, (1, 2, 3))
        result = affine.transform_points(matrix[0], points)
        assert result.dtype == np.float64
        return result.tolist()

    assert apply(affine.translation_matrices([[10, 20]])) == [[11, 22], [13, 25]]
    assert apply(affine.scale_matrices([[2, 3]])) == [[2, 6], [6, 15]]
    np.testing.assert_allclose(apply(affine.rotation_matrices([np.pi / 2])), [[2, -1], [5, -3]], atol=1e-6)
    shift_and_double = affine.cat_nx2x3(affine.scale_matrices([[2, 2]]), affine.translation_matrices([[1, 0]]))
    assert apply(shift_and_double) == [[4, 4], [8, 10]]
    assert affine.transform_vectors(shift_and_double[0], points).tolist() == [[2, 4], [6, 10]]


def test_flips_map_pixel_indices_into_the_image():
    flags = [[True, False, False], [False, True, False], [False, False, True], [True, True, True]]
    matrices = affine.flip_xyd_matrices(np.array(flags), (5, 7))
    moved = [affine.transform_points(matrix, [[1.0, 2.0]])[0].tolist() for matrix in matrices]
    assert moved == [[5, 2], [1, 2], [2, 1], [2, 5]]
    for wrong in (np.zeros(3, dtype=bool), np.zeros((2, 2), dtype=bool)):
        with pytest.raises(ValueError, match=r"expected shape \(N, 3\)"):
            affine.flip_xyd_matrices(wrong, (5, 7))


def test_centre_stays_where_it_is(matrices):
    linear = matrices[0].copy()
    linear[:, :, 2] = 0
    for matrix in affine.centre_xf(linear, (40, 60)):
        np.testing.assert_allclose(affine.transform_points(matrix, [[30, 20]]), [[30, 20]], atol=1e-4)


def sampled(image, theta, size_hw, align_corners):
    grid = affine_grid(torch.from_numpy(theta), [1, 1, *size_hw], align_corners)
    tensor = torch.from_numpy(image)[None, None].float()
    return grid_sample(tensor, grid, mode="bilinear", align_corners=align_corners)[0, 0].numpy()


@pytest.fixture
def smooth():
    rows, columns = np.mgrid[:40, :60]
    return (120 + 60 * np.sin(rows / 6) + 60 * np.cos(columns / 9)).astype(np.uint8)


@pytest.fixture
def turn():
    """Image (40, 60) to target (30, 50), so that the target lies inside."""
    rotation = affine.rotation_matrices([0.2])
    return affine.cat_nx2x3(affine.translation_matrices([[-12.3, 4.6]]), affine.scale_matrices([[1.1, 1.2]]), rotation)


def test_theta_of_an_opencv_matrix(smooth, turn):
    expected = cv2.warpAffine(smooth.astype(np.float32), turn[0].astype(float), (50, 30), flags=cv2.INTER_LINEAR)
    result = sampled(smooth, affine.cv_to_torch(turn, (30, 50), (40, 60)), (30, 50), True)
    np.testing.assert_allclose(result[5:-5, 5:-5], expected[5:-5, 5:-5], atol=0.1)
    same_size = affine.cv_to_torch(affine.identity_xf(1), (40, 60))
    np.testing.assert_allclose(same_size, affine.identity_xf(1), atol=1e-6)


@pytest.mark.parametrize("align_corners", [True, False])
def test_theta_of_a_pil_matrix(smooth, turn, align_corners):
    inverse = affine.inv_nx2x3(turn)
    data = tuple(inverse[0].ravel().tolist())
    image = Image.fromarray(smooth).transform((50, 30), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    theta = affine.pil_to_torch(inverse, (30, 50), (40, 60), align_corners)
    result = sampled(smooth, theta, (30, 50), align_corners)
    np.testing.assert_allclose(result[5:-5, 5:-5], np.asarray(image)[5:-5, 5:-5], atol=1.1)
