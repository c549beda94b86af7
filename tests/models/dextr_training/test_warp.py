"""Warps against PIL's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dextr.data_pipeline import affine, warp


def pil(image, matrix, size_yx, resample=Image.Resampling.BILINEAR):
    data = tuple(affine.inv_nx2x3(matrix)[0].ravel().tolist())
    return np.asarray(image.transform((size_yx[1], size_yx[0]), Image.Transform.AFFINE, data, resample)).astype(int)


def around(centre, angle, scale, size_yx):
    """Image to target: `centre` (x, y) goes to the target's centre, turned and scaled."""
    return affine.cat_nx2x3(
        affine.translation_matrices([[size_yx[1] / 2, size_yx[0] / 2]]),
        affine.scale_matrices([[scale, scale * 0.9]]),
        affine.rotation_matrices([angle]),
        affine.translation_matrices([np.negative(centre)]),
    )


CASES = {
    "inside": around((225, 150), 0.3, 1.3, (96, 128)),
    "upright": around((225, 150), 0.0, 1.0, (96, 128)),
    "beyond the left and upper border": around((20, 10), -0.2, 2.0, (96, 128)),
    "beyond the right and lower border": around((440, 290), 0.35, 0.8, (96, 128)),
    "larger than the image": around((225, 150), 0.1, 0.2, (96, 128)),
    "beside the image": around((-500, 100), 0.1, 1.0, (96, 128)),
    "upside down": around((225, 150), np.pi, 0.7, (96, 128)),
}


@pytest.mark.parametrize("matrix", CASES.values(), ids=CASES)
@pytest.mark.parametrize("max_source_per_target", [0, 1000], ids=["PIL", "OpenCV"])
def test_both_ways_give_the_pixels_of_pil(original, monkeypatch, matrix, max_source_per_target):
    monkeypatch.setattr(warp, "_MAX_SOURCE_PER_TARGET", max_source_per_target)
    sample = original.sample("chelsea.png", "mask_ellipse.png")
    image, mask = sample["input"], sample["target_mask"]
    warped = warp.warp_bilinear(image, mask, matrix, (96, 128))
    for result, expected in zip(warped, (pil(image, matrix, (96, 128)), pil(mask, matrix, (96, 128))), strict=True):
        assert (result.dtype, result.shape) == (np.uint8, expected.shape)
        difference = np.abs(result - expected)
        assert difference.max() <= 1
        assert np.count_nonzero(difference) <= 0.0005 * difference.size


def test_large_sources_take_the_other_way(monkeypatch):
    calls = []
    real = warp._warp_pil
    monkeypatch.setattr(warp, "_warp_pil", lambda *arguments: calls.append(1) or real(*arguments))
    image, mask = Image.new("RGB", (400, 300), (1, 2, 3)), Image.new("L", (400, 300), 255)
    warp.warp_bilinear(image, mask, around((200, 150), 0.0, 1.0, (64, 64)), (64, 64))
    assert calls == []
    warped, _ = warp.warp_bilinear(image, mask, around((200, 150), 0.0, 0.25, (64, 64)), (64, 64))
    assert calls == [1, 1]
    assert warped[32, 32].tolist() == [1, 2, 3]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_any_mode_becomes_rgb(original, mode):
    sample = original.sample("chelsea.png", "mask_ellipse.png")
    image = sample["input"].convert(mode)
    matrix = CASES["beyond the left and upper border"]
    warped, _ = warp.warp_bilinear(image, sample["target_mask"], matrix, (96, 128))
    assert np.abs(warped - pil(image.convert("RGB"), matrix, (96, 128))).max() <= 1


def test_masks_are_warped_as_pillow_does_it(original):
    mask = original.sample("chelsea.png", "mask_ellipse.png")["target_mask"]
    for matrix in CASES.values():
        expected = pil(mask, matrix, (96, 128), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(warp.warp_mask(mask, matrix, (96, 128), Image.Resampling.NEAREST), expected)


def test_image_longer_than_opencv_takes(make_sample):
    mask = np.ones((4, 40000), dtype=bool)
    sample = make_sample(mask)
    matrix = around((20000, 2), 0.0, 0.01, (400, 400))
    warped, _ = warp.warp_bilinear(sample["input"], sample["target_mask"], matrix, (400, 400))
    assert np.abs(warped - pil(sample["input"], matrix, (400, 400))).max() <= 1
