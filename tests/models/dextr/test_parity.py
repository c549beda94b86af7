"""The original's answers, case by case, from the plain model and from the one prepared for speed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dextr.inference.crop import crop_box, crop_image, extreme_points, image_box, points_in_crop
from dextr.inference.heatmap import gaussian_heatmap
from dextr.inference.pixels import image_size

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "dextr"
CASES = [case["id"] for case in json.loads((GOLDEN / "cases.json").read_text())["cases"]]


@pytest.fixture(scope="module", params=["plain", "prepared"])
def kind(request, models, prepared):
    return models if request.param == "plain" else prepared


def predict(model, images, points, **options):
    """Its masks; from the step below `predict` for objects with fewer points than that takes."""
    if all(len(rows) >= 4 for rows in points):
        return model.predict(images, points, **options)
    with pytest.raises(ValueError, match="expected 4 rows"):
        model.predict(images, points, **options)
    patches = model.predict_patches(images, points, **options)
    sizes = [image_size(image) for image in images]
    levels = [patch.in_image(size).astype(np.float32) for patch, size in zip(patches, sizes, strict=True)]
    return [level * np.float32(1 / 255) for level in levels]


@pytest.mark.slow("computes with a network")
@pytest.mark.parametrize("name", CASES)
def test_masks_and_logits(original, kind, name):
    case = original.cases[name]
    model = kind[case["model"]]
    image, points = original.input(case)
    expected = original.arrays[f"{name}.mask"]
    logits = []
    hook = model.net.register_forward_hook(lambda _net, _inputs, result: logits.append(result["out"]))
    mask = predict(model, [image], [points])[0]
    hook.remove()
    assert (mask.dtype, mask.shape) == (np.float32, expected.shape)
    levels = np.rint(mask * 255)
    np.testing.assert_array_equal(mask, levels.astype(np.float32) * np.float32(1 / 255))
    difference = np.abs(levels - expected)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 0.002 * np.count_nonzero(expected)
    sure = np.abs(expected / 255 - 0.5) > 0.01
    np.testing.assert_array_equal((mask >= 0.5)[sure], (expected / 255 >= 0.5)[sure])

    assert bool(logits) == bool(expected.any() or name == "p11")  # crops that cannot be seen are not computed
    for seen in logits:
        assert np.abs(seen[0, 0, ::8, ::8].numpy() - original.arrays[f"{name}.logits"]).max() < 5e-4


@pytest.mark.parametrize("name", CASES)
def test_crop_boxes_are_the_originals(original, name):
    case = original.cases[name]
    settings = original.settings[case["model"]]
    crop = crop_box(extreme_points(case["points"]), tuple(settings["target_size_yx"]), settings["padding"])
    np.testing.assert_array_equal(crop.astype(np.float32), original.arrays[f"{name}.crop_yx"])
    np.testing.assert_array_equal(image_box(crop), original.arrays[f"{name}.box_xyxy"])


@pytest.mark.parametrize("name", ["p02", "p30"])
@pytest.mark.parametrize("as_array", [False, True])
def test_crops_and_heat_maps(original, name, as_array):
    case = original.cases[name]
    settings = original.settings[case["model"]]
    size = tuple(settings["target_size_yx"])
    image, points = original.input(case)
    points = extreme_points(points)
    crop = crop_box(points, size, settings["padding"])
    pixels = crop_image(np.asarray(image) if as_array else image, crop, size)
    np.testing.assert_array_equal(pixels, original.arrays[f"{name}.crop_u8"])
    heatmap = gaussian_heatmap(points_in_crop(points, crop, size), size, settings["blob_sigma"])
    np.testing.assert_allclose(heatmap, original.arrays[f"{name}.heatmap"], atol=3e-7)


@pytest.mark.slow("computes with a network")
def test_several_images_in_one_call(original, models):
    cases = [original.cases[name] for name in original.batch]
    images, points = zip(*(original.input(case) for case in cases), strict=True)
    masks = predict(models["a"], images, points, batch_size=2)
    for case, mask in zip(cases, masks, strict=True):
        expected = original.arrays[f"{case['id']}.mask"]
        assert mask.shape == expected.shape
        assert np.abs(np.rint(mask * 255) - expected).max() <= 1
