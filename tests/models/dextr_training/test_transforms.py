"""What the transforms do where the original does not, fails, or says something else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dextr.data_pipeline.dextr_transforms import (
    DextrCropWithHeatmapTransform,
    DextrFindExtremesTransform,
    DextrNormalize,
    DextrToTensor,
    DextrTrainingTransform,
    crop_with_heatmap,
    paste_mask_into_image,
)
from dextr.data_pipeline.evaluation_transforms import crop_mask
from dextr.data_pipeline.extreme_points import points_in_mask, points_in_outline
from dextr.inference import crop


def still(size=(40, 60), **settings):
    """A training transform without rotation and noise."""
    return DextrTrainingTransform(size, 4, 0, noise_std=0.0, rot_range=0.0, **settings)


@pytest.fixture
def wedge():
    """A triangle with its upright side on the left."""
    rows, columns = np.mgrid[:50, :70]
    return (rows >= 10) & (rows < 40) & (columns >= 15) & (columns < 15 + rows)


def test_hflip_is_a_switch_that_leaves_the_other_draws_alone(make_sample, wedge):
    def run(hflip, seed):
        transform = still(hflip=hflip, rng=np.random.RandomState(seed))
        mask = np.asarray(transform(make_sample(wedge))["target_mask"]) > 127
        return mask, transform.rng.randint(1 << 30)

    flipped = []
    for seed in range(12):
        (plain, after), (augmented, after_too) = run(False, seed), run(True, seed)
        assert after == after_too
        assert plain[:, :30].sum() > plain[:, 30:].sum()  # never mirrored
        flipped.append(augmented[:, :30].sum() < augmented[:, 30:].sum())
    assert 0 < sum(flipped) < 12


def test_points_box_is_inside_the_padding(make_sample, wedge):
    mask = np.asarray(still((60, 80), hflip=False)(make_sample(wedge))["target_mask"]) > 127
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert abs(rows[0] - 4) <= 2
    assert abs(rows[-1] - 56) <= 2
    assert abs(columns[0] - 4) <= 2
    assert abs(columns[-1] - 76) <= 2


@pytest.mark.parametrize("fix_box_to_extreme", [True, False])
def test_object_that_the_warp_loses_is_marked_by_its_outline(make_sample, fix_box_to_extreme):
    mask = np.zeros((1000, 1000), dtype=bool)
    mask[:, 0] = mask[0] = True  # a line of one pixel, which no sample of a smaller target hits
    transform = still((32, 32), hflip=False, fix_box_to_extreme=fix_box_to_extreme)
    sample = transform(make_sample(mask))
    assert sample["heatmap"].shape == (32, 32)
    assert sample["heatmap"].max() > 0.9
    found = DextrFindExtremesTransform((32, 32), 0)(make_sample(mask))["extreme_points"]
    assert (found >= 0).all()
    assert (found < 1000).all()
    assert found[1, 0] > 950  # the lower end


def test_single_pixel(make_sample):
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 5] = True
    assert np.asarray(still((32, 32))(make_sample(mask))["target_mask"]).max() > 240


def test_object_at_the_border_of_the_image(make_sample):
    mask = np.zeros((30, 30), dtype=bool)
    mask[:, 20:] = True
    sample = DextrTrainingTransform((64, 64), 20, 0, hflip=False, rng=np.random.RandomState(0))(make_sample(mask))
    corner = np.asarray(sample["input"])[:10, -10:]
    assert corner.max() == 0  # beyond the image


@pytest.mark.parametrize("transform", [still(), DextrFindExtremesTransform((40, 40), 2)], ids=["train", "find"])
def test_samples_that_make_no_sense(make_sample, wedge, transform):
    sample = make_sample(wedge)
    with pytest.raises(ValueError, match=r"expected \(M, 2\) with at least one row"):
        transform({**sample, "target_mask_outline": np.zeros((0, 2), dtype=int)})
    with pytest.raises(ValueError, match=r"the image has \(71, 50\) pixels"):
        transform({**sample, "input": Image.new("RGB", (71, 50))})


def test_padding_that_leaves_nothing():
    with pytest.raises(ValueError, match=r"a padding of 20 does not fit into a target of \(40, 60\)"):
        DextrTrainingTransform((40, 60), 20, 5)


def test_same_object_same_points_whenever_it_comes(make_sample, wedge):
    find = DextrFindExtremesTransform((64, 64), 5, object_seed=3)
    first = find(make_sample(wedge))["extreme_points"]
    other = find(make_sample(wedge[:, ::-1]))["extreme_points"]
    again = DextrFindExtremesTransform((64, 64), 5, object_seed=3)(make_sample(wedge))["extreme_points"]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    others = [DextrFindExtremesTransform((64, 64), 5, object_seed=seed)(make_sample(wedge)) for seed in range(5)]
    assert any(not np.array_equal(first, sample["extreme_points"]) for sample in others)


def test_points_of_a_mask_and_of_its_pixels_are_drawn_alike():
    mask = np.random.RandomState(0).rand(20, 30) > 0.8
    for extreme_range in (0, 3, 50):
        of_mask = points_in_mask(mask, extreme_range, np.random.RandomState(1))
        of_pixels = points_in_outline(np.argwhere(mask), extreme_range, np.random.RandomState(1))
        np.testing.assert_array_equal(of_mask, of_pixels)
    assert points_in_mask(np.zeros((4, 4), dtype=bool), 1, np.random.RandomState(1)) is None


def test_extreme_range_bounds_the_picks():
    mask = np.ones((20, 30), dtype=bool)
    picks = np.stack([points_in_mask(mask, 2, np.random.RandomState(seed)) for seed in range(50)])
    top, bottom, left, right = picks[:, 0, 0], picks[:, 1, 0], picks[:, 2, 1], picks[:, 3, 1]
    assert set(top) == {0, 1, 2}
    assert set(bottom) == {17, 18, 19}
    assert set(left) == {0, 1, 2}
    assert set(right) == {27, 28, 29}


def test_crop_without_mask(make_sample, wedge):
    points = [[10, 20], [39, 20], [25, 15], [30, 40]]
    image, mask, heatmap, crop_yx = crop_with_heatmap(Image.new("L", (70, 50), 9), None, (32, 48), 4, points, 3.0)
    assert (image.mode, image.size, mask) == ("RGB", (48, 32), None)
    assert (heatmap.shape, heatmap.dtype, crop_yx.shape) == ((32, 48), np.float32, (2, 2))
    sample = {"input": make_sample(wedge)["input"], "extreme_points": np.array(points)}
    cropped = DextrCropWithHeatmapTransform((32, 48), 4, 3.0, True)(sample)
    assert set(cropped) == {"input", "heatmap", "crop_yx"}
    tensors = DextrToTensor()(cropped)
    assert set(tensors) == {"input", "crop_yx"}
    assert tensors["crop_yx"].dtype == torch.float32


def test_crop_and_paste_meet(make_sample, wedge):
    sample = DextrFindExtremesTransform((64, 64), 0)(make_sample(wedge))
    cropped = DextrCropWithHeatmapTransform((64, 64), 8)(sample)
    mask = np.asarray(cropped["target_mask"])
    for array in (mask, mask / np.float32(255)):
        pasted = paste_mask_into_image(wedge.shape, array, cropped["crop_yx"])
        assert (pasted.mode, pasted.size) == ("L", (70, 50))
        back = np.asarray(pasted) > 127
        assert (back & wedge).sum() / (back | wedge).sum() > 0.9


def test_normalise_with_own_constants():
    normalise = DextrNormalize(mean=(0, 0, 0, 1), std=(1, 1, 1, 2))
    assert normalise.mean.shape == normalise.std.shape == (4, 1, 1)
    result = normalise({"input": torch.ones(4, 2, 2), "target_mask": torch.ones(1, 2, 2)})
    assert result["input"][:, 0, 0].tolist() == [1, 1, 1, 0]
    assert "target_mask" in result
    for wrong in ({"mean": (1, 2, 3)}, {"std": (1, 2, 3, 4, 5)}):
        with pytest.raises(ValueError, match="expected 4"):
            DextrNormalize(**wrong)


def test_whole_pixels_gives_the_crop_of_a_prediction(make_sample):
    """Upright, without noise, and with one pixel at each end, the points are these pixels."""
    mask = np.zeros((90, 120), dtype=np.uint8)
    corners = np.array([[60, 11], [93, 40], [55, 71], [24, 47]])
    cv2.fillPoly(mask, [corners], 1)
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype(np.uint8))
    sample = make_sample(mask > 0, image)
    size, padding = (96, 128), 7
    transform = DextrTrainingTransform(size, padding, 0, 0.0, 3.0, False, 0.0, whole_pixels=True)
    found, target, points = transform.augment(sample)
    clicked = corners[:, ::-1].astype(float)
    crop_yx = crop.crop_box(clicked, size, padding)
    expected = crop.points_in_crop(clicked, crop_yx, size)
    np.testing.assert_allclose(sorted(points.tolist()), sorted(expected.tolist()))
    predicted = crop.crop_image(image, crop_yx, size).astype(int)
    assert (np.abs(found.astype(int) - predicted) > 1).mean() < 0.001
    true = np.asarray(crop_mask(sample["target_mask"], crop_yx, size)).astype(int)
    assert (np.abs(target.astype(int) - true) > 1).mean() < 0.001
