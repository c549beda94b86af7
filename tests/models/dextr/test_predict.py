"""`DextrModel.predict`: what it takes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dextr import architectures
from dextr.model import DextrModel

POINTS = [[5, 30], [50, 32], [30, 4], [28, 60]]


class Brightness(torch.nn.Module):
    """Logits that grow with the pixel's colours and with its heat; small, so that tests see the crop through it."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 0.5]).view(1, 4, 1, 1))
        self.seen = []

    def forward(self, x):
        self.seen.append((len(x), self.training))
        return {"out": (x * self.scale).sum(1, keepdim=True)}


@pytest.fixture
def model():
    return DextrModel(Brightness(), (64, 96), 5, 6.0)


@pytest.fixture
def photo():
    return np.random.default_rng(1).integers(0, 256, (60, 70, 3), dtype=np.uint8)


def grey(photo):
    return np.repeat(photo[:, :, :1], 3, axis=2)


FORMS = {
    "PIL RGB": lambda rgb: (Image.fromarray(rgb), rgb),
    "PIL RGBA": lambda rgb: (Image.fromarray(np.dstack([rgb, rgb[:, :, 0]])), rgb),
    "PIL L": lambda rgb: (Image.fromarray(rgb[:, :, 0]), grey(rgb)),
    "PIL LA": lambda rgb: (Image.fromarray(rgb[:, :, 0]).convert("LA"), grey(rgb)),
    "PIL 1": lambda rgb: (Image.fromarray(rgb[:, :, 0] > 99), grey((rgb > 99) * np.uint8(255))),
    "PIL I;16": lambda rgb: (Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 256 + 7), grey(rgb)),
    "PIL I of 16 bit": lambda rgb: (Image.fromarray(rgb[:, :, 0].astype(np.int32) * 256 + 7), grey(rgb)),
    "PIL I of 8 bit": lambda rgb: (Image.fromarray(rgb[:, :, 0].astype(np.int32)), grey(rgb)),
    "PIL F": lambda rgb: (Image.fromarray(rgb[:, :, 0].astype(np.float32)), grey(rgb)),
    "(H, W)": lambda rgb: (rgb[:, :, 0], grey(rgb)),
    "(H, W, 1)": lambda rgb: (rgb[:, :, :1], grey(rgb)),
    "(H, W, 2)": lambda rgb: (rgb[:, :, :2], grey(rgb)),
    "(H, W, 4)": lambda rgb: (np.dstack([rgb, rgb[:, :, 0]]), rgb),
    "not contiguous": lambda rgb: (np.asfortranarray(rgb), rgb),
    "float32": lambda rgb: ((rgb / 255).astype(np.float32), rgb),
    "negative float": lambda rgb: (rgb / 255 - (rgb == 0), rgb),
    "uint16": lambda rgb: (rgb.astype(np.uint16) * 256 + 9, rgb),
    "uint32": lambda rgb: (rgb.astype(np.uint32) << 24, rgb),
    "int16": lambda rgb: (rgb.astype(np.int16) * 128 + 3, rgb),
    "bool": lambda rgb: (rgb > 99, (rgb > 99) * np.uint8(255)),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_kind_of_image(model, photo, form):
    image, rgb = FORMS[form](photo)
    expected = model.predict([Image.fromarray(rgb)], [POINTS])[0]
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(model.predict([image], [POINTS])[0], expected)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "HSV", "LAB", "PA", "RGBX"])
def test_other_modes_are_converted_to_rgb(model, photo, mode):
    image = Image.fromarray(photo)
    image = (
        image.convert("P").convert("PA")
        if mode == "PA"
        else Image.fromarray(photo, mode="LAB")
        if mode == "LAB"
        else image.convert(mode)
    )
    expected = model.predict([image.convert("RGB")], [POINTS])[0]
    np.testing.assert_array_equal(model.predict([image], [POINTS])[0], expected)


def test_palette_with_transparency(model, photo):
    image = Image.fromarray(photo).convert("P")
    expected = model.predict([image], [POINTS])[0]
    image.info["transparency"] = bytes(range(256))
    np.testing.assert_array_equal(model.predict([image], [POINTS])[0], expected)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16])
def test_wide_integers_of_eight_bit_are_taken_as_they_are(model, photo, dtype):
    expected = model.predict([photo], [POINTS])[0]
    with pytest.warns(UserWarning, match="no value above 255"):
        mask = model.predict([photo.astype(dtype)], [POINTS])[0]
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.full((9, 9, 3), 1.5), ValueError, "0 to 1"),
        (np.full((9, 9, 3), np.nan), ValueError, "0 to 1"),
        (np.zeros((9, 9, 5), np.uint8), ValueError, "channels"),
        (np.zeros((9,), np.uint8), ValueError, "shape"),
        (np.zeros((0, 9, 3), np.uint8), ValueError, "0 x 9"),
        (np.zeros((9, 9), complex), TypeError, "complex"),
        ("a.jpg", TypeError, "str"),
    ],
)
def test_images_that_are_refused(model, image, error, words):
    with pytest.raises(error, match=words):
        model.predict([image], [[[1, 1], [5, 5], [1, 5], [5, 1]]])


@pytest.mark.parametrize(
    "points",
    [POINTS, tuple(map(tuple, POINTS)), np.array(POINTS), np.array(POINTS, np.uint8), np.array(POINTS, np.float32)],
)
def test_any_kind_of_points(model, photo, points):
    expected = model.predict([photo], [np.array(POINTS, np.float64)])[0]
    np.testing.assert_array_equal(model.predict([photo], [points])[0], expected)
    np.testing.assert_array_equal(model.predict([photo], np.array([points]))[0], expected)


def test_points_as_tensors(model, photo):
    expected = model.predict([photo], [POINTS])[0]
    points = torch.tensor(POINTS, dtype=torch.float32, requires_grad=True)
    np.testing.assert_array_equal(model.predict([photo], [points])[0], expected)
    np.testing.assert_array_equal(model.predict([photo], points[None])[0], expected)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [[1, 2]],
        [[1, 2], [3, 4], [5, 6]],
        [[1, 2, 3]],
        [1, 2],
        [[1, float("nan")]],
        [[1, float("inf")]],
        [[1, 1e300], [0, 0]],
    ],
)
def test_points_that_are_refused(model, photo, points):
    with pytest.raises(ValueError, match="extreme points"):
        model.predict([photo], [points])


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray, lambda array: array[:, :, 0], torch.from_numpy])
def test_a_single_image_in_place_of_a_list_is_said(model, photo, kind):
    with pytest.raises(TypeError, match=r"images is a single \w+; expected a list of images, as in predict\(\[image\]"):
        model.predict(kind(photo), [POINTS])
    with pytest.raises(TypeError, match="images is a single"):
        model.predict(kind(photo), POINTS)


def test_stacks_and_tuples_are_lists_of_images(model, photo):
    (one,) = model.predict([photo], [POINTS])
    for images in (np.stack([photo, photo]), (photo, photo)):
        for mask in model.predict(images, np.array([POINTS, POINTS])):
            np.testing.assert_array_equal(mask, one)


def test_numbers_have_to_match(model, photo):
    assert model.predict([], []) == []
    with pytest.raises(ValueError, match="2 images and 1 sets"):
        model.predict([photo, photo], [POINTS])
    with pytest.raises(ValueError, match="batch size is 0"):
        model.predict([photo], [POINTS], batch_size=0)


@pytest.mark.parametrize("padding", [-1, 32, 40])
def test_impossible_padding(photo, padding):
    with pytest.raises(ValueError, match=f"padding of {padding}"):
        DextrModel(Brightness(), (64, 96), padding, 6.0).predict([photo], [POINTS])


def test_batches_and_workers_change_nothing(model, photo):
    images = [photo, Image.fromarray(photo[:40]), photo[:, :50], photo]
    points = [POINTS, [[1, 1], [30, 40]] * 2, [[3, 3], [50, 9], [20, 45], [3, 3]], [[500, 500], [600, 600]] * 2]
    one_by_one = [model.predict([image], [rows])[0] for image, rows in zip(images, points, strict=True)]
    for options in ({"batch_size": 1}, {"batch_size": 3}, {"batch_size": 2, "num_workers": 2}):
        masks = model.predict(images, points, **options)
        for mask, expected in zip(masks, one_by_one, strict=True):
            np.testing.assert_array_equal(mask, expected)
    assert not one_by_one[-1].any()


def test_workers_share_a_file_that_is_not_read_yet(model, tmp_path):
    photo = Image.fromarray(np.random.default_rng(2).integers(0, 256, (600, 800, 3), dtype=np.uint8))
    photo.save(tmp_path / "photo.png")
    points = [np.array(POINTS) + 50 * number for number in range(8)]
    expected = model.predict([photo] * 8, points)
    with Image.open(tmp_path / "photo.png") as opened:
        masks = model.predict([opened] * 8, points, batch_size=1, num_workers=2)
    for mask, right in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(mask, right)


def test_batch_size(model, photo):
    model.predict([photo] * 5, [POINTS] * 5, batch_size=2)
    assert [size for size, _ in model.net.seen] == [2, 2, 1]


def test_prediction_is_in_evaluation_mode_and_restores_the_mode(model, photo):
    model.net.extra = torch.nn.Dropout(0.5)
    model.train()
    model.net.extra.eval()
    model.predict([photo], [POINTS])
    assert model.net.seen == [(1, False)]
    assert (model.net.training, model.net.extra.training) == (True, False)
    model.net.scale.data[:] = float("nan")
    model.net.forward = None  # a net that fails
    with pytest.raises(TypeError):
        model.predict([photo], [POINTS])
    assert model.net.training


def test_train_eval_to(model):
    assert model.train() is None
    assert model.net.training
    assert model.eval() is None
    assert not model.net.training
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")


def test_patches_are_the_masks_without_their_margin(model, photo):
    points = [[10.5, 20.5], [30, 40]] * 2
    (patch,) = model.predict_patches([photo], [points])
    (mask,) = model.predict([photo], [points])
    assert patch.probability.dtype == np.uint8
    assert all(of_patch < of_image for of_patch, of_image in zip(patch.probability.shape, mask.shape, strict=True))
    np.testing.assert_array_equal(patch.in_image(mask.shape), np.rint(mask * 255))
    (nothing,) = model.predict_patches([photo], [[[5, 5]] * 4])
    assert nothing.probability.shape == (0, 0)
    assert not nothing.in_image((4, 5)).any()


def test_sizes_that_a_u_net_cannot_halve(photo):
    model = DextrModel(architectures.build("mobileunet"), (64, 96), 5, 6.0)
    for either in (model, model.prepare()):
        either.target_size_yx = (64, 80)
        with pytest.raises(ValueError, match="64 x 80"):
            either.predict([photo], [POINTS])
    with pytest.raises(ValueError, match="64 x 80"):
        model.prepare()
