"""The original's answers, by the network as it is and as it is made ready for the commands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from tensormask import preprocessing
from tensormask.detection import detect

CASES = {
    "single": {},
    "pair": {},
    "topk50_det10": {"topk_candidates": 50, "detections_per_image": 10},
    "many": {"score_thresh": 0.002, "detections_per_image": 600, "nms_thresh": 0.6},
    "none": {"score_thresh": 0.9999},
    "aligned_no_bipyramid": {"bipyramid_on": False},
    "natural": {"bipyramid_on": False, "aligned_on": False},
    "no_masks": {"mask_on": False},
}
PAIRS = ("pair", "aligned_no_bipyramid", "natural", "no_masks")


def matched(result, expected):
    """For each expected detection the number of ours: of the same class, with the nearest box and score."""
    distance = np.abs(expected["boxes"][:, None] - result.boxes[None]).max(2)
    distance += 1000 * np.abs(expected["scores"][:, None] - result.scores[None])
    distance[expected["classes"][:, None] != result.classes[None]] = 1e9
    order = linear_sum_assignment(distance)[1]
    np.testing.assert_array_equal(result.classes[order], expected["classes"])
    return order


def check(result, expected, enlarged):
    """`enlarged`: pixels of the answer per pixel of the network's input."""
    assert len(result.boxes) == len(expected["boxes"])
    assert result.size == tuple(expected["size"])
    assert (np.diff(result.scores) <= 0).all()
    if not len(expected["boxes"]):
        assert result.masks.shape == (0, *result.size)
        return
    order = matched(result, expected)
    assert np.abs(result.boxes[order] - expected["boxes"]).max() < 5e-3 * max(1, enlarged)
    assert np.abs(result.scores[order] - expected["scores"]).max() < 2.1e-5
    if "areas" in expected:
        masks = result.masks[order]
        assert np.abs(masks.sum((1, 2)) - expected["areas"]).sum() <= 5e-6 * masks.size
        if "masks" in expected:
            kept = masks[:: expected["every"]]
            truth = np.unpackbits(expected["masks"], axis=-1)[..., : result.size[1]].astype(bool)
            assert (kept != truth).sum() <= max(1, 5e-6 * truth.size)
    else:
        assert result.masks.shape == (0, *result.size)


@pytest.mark.slow("computes with a network")
@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
@pytest.mark.parametrize("case", CASES)
def test_answers_are_the_originals(original, case, prepared):
    model = original.model(**CASES[case])
    model = model.prepare() if prepared else model
    names = ["im0", "im1"] if case in PAIRS else ["im0"]
    inputs = [original.image(name)[:, :, ::-1] for name in names]
    expected = [original.final(case, number) for number in range(len(names))]
    results = model.predict_batch(inputs, [tuple(answer["size"].tolist()) for answer in expected])
    for image, result, answer in zip(inputs, results, expected, strict=True):
        check(result, answer, answer["size"][0] / image.shape[0])


@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
def test_an_image_that_is_resized(original, model, prepared):
    model = model.prepare() if prepared else model
    image = original.image("big")
    (result,) = model.predict([image])
    check(result, original.final("predictor"), image.shape[0] / 183)


def test_the_probabilities_of_the_first_masks(original, model):
    images = [preprocessing.as_tensor(original.image("im0")[:, :, ::-1])]
    with torch.inference_mode():
        output = model.net(preprocessing.batch(images, model.config, "cpu"))
        found = detect(output, 0, model.config, model.config.score_thresh)
        masks = {
            n: m for numbers, some in output.masks.at(found.at) for n, m in zip(numbers.tolist(), some, strict=True)
        }
    expected = original.final("single")
    for number in range(10):
        ours = masks[number].sigmoid().flatten()[::17].numpy()
        np.testing.assert_allclose(ours, expected[f"probe{number}"], atol=2e-4)
