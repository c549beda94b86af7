"""Images of every size, and what is no image."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from tensormask import preprocessing
from tensormask.anchors import Locations
from tensormask.bipyramid import MaskPredictor
from tensormask.config import Config
from tensormask.network import build
from tensormask.paste import paste
from tests.support.tensor_memory import PeakMemory


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (3000, 2), (192, 256), (31, 33)])
def test_results_are_of_the_images_size(model, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for result in (model.predict([image])[0], model.predict_raw([image])[0]):
        assert result.size == size
        assert result.masks.shape == (len(result.boxes), *size)
        assert (result.boxes >= 0).all()
        assert (result.boxes[:, 2:] <= size[::-1]).all()
        assert result.masks.dtype == bool
        for patch, mask in zip(result.patches, result.masks, strict=True):
            np.testing.assert_array_equal(patch.in_image(size), mask)


def test_no_images(model):
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1067)), ((427, 640), (800, 1199)), ((333, 500), (800, 1201)), ((2000, 500), (1333, 333)),
     ((1, 100000), (1, 1333))],
)  # fmt: skip
def test_resized_sizes(size, expected):
    assert preprocessing.resized_size(size, 800, 1333) == expected
    assert preprocessing.resized_size(size, 0, 1333) == size


@pytest.mark.parametrize("image", [None, [[1]], np.zeros((4, 4, 3)), "a.png"])
def test_what_is_no_array_is_refused(model, image):
    with pytest.raises(TypeError, match=r"images\[1\] is .*; expected an array"):
        model.predict([np.zeros((4, 4, 3), np.uint8), image])


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3), (1, 4, 4, 3)])
def test_arrays_of_other_shapes_are_refused(model, shape):
    with pytest.raises(ValueError, match=r"images\[0\] has the shape"):
        model.predict([np.zeros(shape, np.uint8)])


def test_an_answer_does_not_depend_on_the_others(original, model):
    images = [original.image(name) for name in ("im0", "im1", "im0", "big")]
    together = model.predict(images, batch_size=4)
    for image, result in zip(images, together, strict=True):
        (alone,) = model.predict([image])
        assert len(alone.boxes) == len(result.boxes)
        np.testing.assert_allclose(alone.scores, result.scores, atol=1e-5)
        covered, expected = result.masks.sum(0), alone.masks.sum(0)  # of nearly equal scores either may be first
        assert (covered != expected).mean() < 1e-3


def test_the_masks_of_an_image_are_made_of_its_own_features(original):
    model, images = original.model(), []
    for part in (model.net.head.mask_subnet, model.net.head.mask_fuse):
        part.register_forward_hook(lambda module, inputs, result: images.append(len(inputs[0])))
    assert all(len(result.masks) for result in model.predict([original.image("im0")] * 3, batch_size=3))
    assert set(images) == {1}


def test_a_higher_threshold_gives_the_first_ones(original, model):
    image = original.image("im0")
    (every,), (some,) = model.predict([image]), model.predict([image], threshold=0.5)
    count = int((every.scores > 0.5).sum())
    assert 0 < count == len(some.scores) < len(every.scores)
    np.testing.assert_array_equal(some.boxes, every.boxes[:count])
    np.testing.assert_array_equal(some.masks, every.masks[:count])


def test_unresized_images_are_taken_as_they_are(original, model):
    image = original.image("im0")[:, :, ::-1]
    (raw,) = model.predict_raw([image])
    (expected,) = model.predict_batch([image], [image.shape[:2]])
    np.testing.assert_array_equal(raw.boxes, expected.boxes)


@pytest.mark.parametrize("box", [(50.0, 2.0, 60.0, 12.0), (-30.0, -30.0, -20.0, -20.0), (2.0, 40.5, 9.0, 49.0)])
def test_a_window_beside_the_image_is_empty(box):
    patch = paste(torch.full((11, 11), 9.0), box, (20, 30))
    assert not patch.in_image((20, 30)).any()


@pytest.mark.slow("computes with a network")
def test_memory_of_the_masks():
    # All windows of the finest and the coarsest level that cross an image of 800 x 1344 pixels, in the real network.
    sizes = tuple((44.0 * 2**level, 60.0 * 2**level) for level in range(6))
    config = Config(mask_on=True, aligned_on=True, bipyramid_on=True, fuse_type="avg", anchor_sizes=sizes)
    net = build(config)
    for value in net.head.state_dict().values():
        value.zero_()
    pyramid = [torch.zeros(1, 256, -(-200 // 2**level), -(-336 // 2**level)) for level in range(6)]
    level = torch.tensor([0, 0, 5, 5, 3])
    at = Locations(level, level * 0, torch.tensor([0, 199, 0, 6, 24]), torch.tensor([0, 335, 0, 10, 41]), level % 2)
    with torch.inference_mode(), PeakMemory() as memory:
        for _, logits in MaskPredictor(config, net.head, pyramid).at(at):
            logits.sigmoid()
    assert memory.peak < 100 * 2**20


@pytest.mark.slow("starts a process that loads torch")
def test_the_package_has_the_class_and_loads_torch_only_for_it():
    program = """
import sys, tensormask
assert "torch" not in sys.modules and not hasattr(tensormask, "other")
from tensormask import TensorMask
from tensormask.model import TensorMask as same
assert TensorMask is same
"""
    subprocess.run([sys.executable, "-c", program], check=True)
