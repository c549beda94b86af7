"""The memory of an answer is not the product of objects and pixels: a mask of the image's size is alive at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskworks import drawing
from maskworks.config import InputConfig, ShapeConfig
from maskworks.drawing import draw
from maskworks.errors import ImageTooLarge
from maskworks.geometry import compose, trace
from maskworks.images.reader import InProcessDecoder
from maskworks.overlay import draw_overlay
from maskworks.packed_mask import PackedMask
from maskworks.pipeline import Pipeline
from maskworks.types import Instance, Instances, Prediction, Request
from tests.support.bright import Bright
from tests.support.jobs import a_job
from tests.support.process_memory import peak_megabytes
from tests.support.samples import encoded

LARGE = (1100, 1001)

OBJECTS = """
import numpy as np
from maskworks.config import ShapeConfig
from maskworks.drawing import draw
from maskworks.formats import MaskFiles, PromptMessages
from maskworks.types import Instance, Instances, Prediction, Request
from maskworks.wire.reply import decode_reply

SIZE, OBJECTS = (3000, 4000), 50

def frame(number):
    mask = np.ones(SIZE, bool)
    mask[5 + number : -5 - number, 10 : -10] = False
    return mask

def predict():
    return Instances(Instance(frame(number), label=number + 1) for number in range(OBJECTS))

def prediction(config=ShapeConfig()):
    drawn = draw(predict(), SIZE, config)
    return Prediction(request, drawn.instances, drawn.regions, drawn.mask, {})

request = Request("a", np.zeros((*SIZE, 3), np.uint8))
"""


@pytest.mark.slow("draws fifty masks of twelve megapixels")
@pytest.mark.parametrize(
    "work",
    [
        "prediction()",
        "prediction(ShapeConfig(min_area=2))",
        "PromptMessages().write(prediction())",
        "MaskFiles(overlay=True).write(prediction())",
        "decode_reply(PromptMessages().write(prediction())['reply'], 'a', request.image)",
    ],
    ids=["drawn", "without specks", "reply", "files and overlay", "read by a client"],
)
def test_fifty_objects_as_large_as_the_image(work):
    """The masks alone have 600 MB; image, picture and a few masks have 12 to 48 MB each."""
    assert peak_megabytes(f"{OBJECTS}\ndef work():\n    return {work}\n") < 220


@pytest.mark.parametrize("dtype", [bool, np.uint8])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (0, 4), LARGE])
def test_a_packed_mask_is_the_mask(dtype, size):
    mask = (np.random.default_rng(0).random(size) < 0.3).astype(dtype)
    packed = PackedMask.of(mask)
    assert packed.shape == size
    np.testing.assert_array_equal(packed.unpack(), mask)
    assert len(packed.data) <= mask.size / 8 + 1000


def test_only_large_masks_are_packed():
    large, small, empty = Instance(np.ones(LARGE, bool)), Instance(np.ones((9, 9), bool)), Instance(None)
    packed = Instances([large, small, empty])
    assert isinstance(packed[0].mask, PackedMask)
    assert packed[1:] == [small, empty]
    assert packed[0].packed() is packed[0]
    np.testing.assert_array_equal(packed[0].pixels(), large.mask)


@pytest.mark.parametrize("best_first", [False, True])
@pytest.mark.parametrize("min_area", [0, 50])
def test_packed_masks_are_drawn_as_any_others(best_first, min_area):
    """Overlapping ones, with specks and values beyond 1, some of which reach out of the image."""
    rng = np.random.default_rng(0)
    size = (1200, 1300)
    masks = [rng.random((12, 13)) < 0.4 for _ in range(3)]
    masks = [np.kron(mask, np.full((100, 100), 200, np.uint8)) for mask in masks]
    for mask in masks:
        mask[5::97, 7::89] ^= 200
    instances = [Instance(mask, (30 * n - 40, 20 * n), label=n + 1) for n, mask in enumerate(masks)]
    drawn = draw(Instances(instances, best_first=best_first), size, ShapeConfig(min_area=min_area))
    assert all(isinstance(instance.mask, PackedMask) for instance in drawn.instances)
    plain = [Instance(instance.pixels(), instance.offset, instance.label) for instance in drawn.instances]
    assert (plain[0].mask > 0).sum() < (masks[0] > 0).sum() or not min_area
    np.testing.assert_array_equal(drawn.mask, compose(plain[::-1] if best_first else plain, size))
    for regions, instance in zip(drawn.regions, plain, strict=True):
        for found, expected in zip(regions, trace(instance.mask, instance.offset), strict=True):
            np.testing.assert_array_equal(found.outer, expected.outer)
    request = Request("a", rng.integers(0, 256, (*size, 3), np.uint8))
    pictures = [
        draw_overlay(Prediction(request, tuple(those), drawn.regions, drawn.mask, {}, best_first))
        for those in (drawn.instances, plain)
    ]
    np.testing.assert_array_equal(*pictures)


def pair(objects, size=(40, 50)):
    from PIL import Image

    points = [[1, 1], [2, 2], [3, 1], [2, 0]]
    prompt = json.dumps({"objects": [{"points": points}] * objects}).encode()
    return a_job("a", encoded(Image.fromarray(np.zeros((*size, 3), np.uint8))), prompt)


def test_masks_that_may_take_too_much_are_refused_before_the_model_runs():
    model = Bright()
    pipeline = Pipeline(predictor=model, decoder=InProcessDecoder(InputConfig(max_mask_pixels=40 * 50 * 3)))
    good, bad = pipeline.run([pair(3)])[0], pipeline.run([pair(4)])[0]
    assert good.error is None
    assert bad.error.code == "image_too_large"
    assert "--max_mask_pixels" in bad.error.message
    assert model.batches == [["a"]]


def test_what_other_limits_allow_is_no_more_than_a_gigabyte_of_masks():
    assert InputConfig().max_mask_pixels / 8 <= 2**30
    assert InputConfig().max_mask_pixels >= 255 * 12_000_000
    assert InputConfig().max_mask_pixels >= 20 * InputConfig().max_pixels


@pytest.mark.parametrize(
    ("bound", "mask"),
    [
        ("_MOST_RINGS", np.indices((40, 40)).max(axis=0) % 2 == 0),
        ("_MOST_RINGS", (np.indices((40, 40)) % 2).all(axis=0)),
        ("_MOST_POINTS", np.kron(np.eye(9, dtype=bool), np.ones((2, 2), bool))),
    ],
    ids=["parts and holes", "parts", "points"],
)
def test_outlines_without_end_are_an_error_of_their_request(bound, mask, monkeypatch):
    monkeypatch.setattr(drawing, bound, 100)
    with pytest.raises(ImageTooLarge, match="--simplify"):
        draw(Instances([Instance(mask)] * 10), (40, 40), ShapeConfig())
    assert draw(Instances([Instance(np.ones((40, 40), bool))] * 10), (40, 40), ShapeConfig()).mask.all()
