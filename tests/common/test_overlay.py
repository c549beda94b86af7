"""Pictures for people who look."""

import io

import numpy as np
import pytest
from PIL import Image

from maskworks.geometry import compose, trace
from maskworks.overlay import draw_overlay, encode_overlay
from maskworks.types import Instance, Prediction, Prompt, Request
from maskworks.wire.mask_png import palette

COLOURS = np.frombuffer(palette(), np.uint8).reshape(256, 3)


def predicted(*instances, prompts=(), size=(80, 100)):
    image = np.full((*size, 3), 90, np.uint8)
    regions = tuple(trace(i.mask, i.offset) if i.mask is not None else () for i in instances)
    return Prediction(Request("a", image, tuple(prompts)), instances, regions, compose(instances, size), {})


def changed(prediction):
    """The pixels, (H, W) bool, in which the picture differs from the image; the image itself stays as it is."""
    before = prediction.request.image.copy()
    picture = draw_overlay(prediction)
    np.testing.assert_array_equal(prediction.request.image, before)
    assert (picture.shape, picture.dtype) == (before.shape, np.uint8)
    return (picture != before).any(axis=2)


def test_nothing_found_is_the_image():
    assert not changed(predicted()).any()
    assert not changed(predicted(Instance(None), Instance(np.zeros((5, 5), bool)))).any()


@pytest.mark.parametrize("label", [1, 2, 255])
def test_masks_are_tinted_in_their_colour(label):
    mask = np.zeros((30, 40), np.uint8)
    mask[5:25, 5:35] = 200
    prediction = predicted(Instance(mask, (20, 10), label=label))
    touched = changed(prediction)
    assert touched[17:33, 27:53].all()
    assert not touched[:12].any()
    assert not touched[:, :22].any()
    tint = draw_overlay(prediction)[25, 40].astype(float) - 0.55 * 90
    np.testing.assert_allclose(tint, 0.45 * COLOURS[label], atol=1)


def test_outlines_run_along_outer_rings_and_holes():
    mask = np.ones((40, 40), bool)
    mask[10:30, 10:30] = False
    picture = draw_overlay(predicted(Instance(mask, (20, 20), label=7)))
    for y, x in ((20, 40), (40, 20), (30, 40), (40, 30), (59, 40)):
        assert abs(picture[y, x].astype(int) - COLOURS[7]).max() < 40, (y, x)
    np.testing.assert_array_equal(picture[40, 40], [90, 90, 90])


@pytest.mark.parametrize("offset", [(-15, -15), (85, 65), (-15, 65), (300, 300), (-300, 0)])
def test_masks_reaching_out_of_the_image(offset):
    touched = changed(predicted(Instance(np.ones((30, 30), bool), offset)))
    x, y = np.clip(offset[0] + 15, 0, 99), np.clip(offset[1] + 15, 0, 79)
    assert touched[y, x] == (abs(offset[0]) < 200)


def test_extreme_points_are_red_dots():
    points = np.array([[20.0, 30.0], [60.4, 10.0], [90.0, 50.0], [50.0, 70.0]])
    picture = draw_overlay(predicted(prompts=[Prompt(extreme_points=points)]))
    for x, y in points.round().astype(int):
        red, green, blue = picture[y, x].tolist()
        assert red > 200
        assert max(green, blue) < 100


def test_clicks_are_green_inside_and_red_outside():
    prompt = Prompt(clicks=np.array([[20.0, 30.0], [70.0, 40.0]]), click_labels=np.array([1, 0], np.uint8))
    picture = draw_overlay(predicted(prompts=[prompt])).astype(int)
    assert picture[30, 20].argmax() == 1
    assert picture[40, 70].argmax() == 0


def test_boxes_are_frames():
    touched = changed(predicted(prompts=[Prompt(box=np.array([10.2, 20.0, 60.0, 50.0]))]))
    assert touched[20, 10:60].all()
    assert touched[20:50, 60].all()
    assert not touched[25:45, 15:55].any()


FAR = float(2**24)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=np.array([-FAR, -FAR, FAR, FAR])),
        Prompt(extreme_points=np.array([[FAR, 0], [-FAR, FAR], [0, -FAR], [-FAR, -FAR]])),
        Prompt(clicks=np.array([[FAR, FAR]]), click_labels=np.ones(1, np.uint8)),
    ],
    ids=["box", "extreme points", "clicks"],
)
def test_prompts_far_outside_leave_no_trace(prompt):
    assert not changed(predicted(prompts=[prompt])).any()


def test_boxes_with_far_corners_still_show_their_near_sides():
    touched = changed(predicted(prompts=[Prompt(box=np.array([-FAR, 40.0, FAR, FAR]))]))
    assert touched[40].all()
    assert not touched[:35].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 3)])
def test_tiny_images(size):
    prompt = Prompt(box=np.array([0.0, 0.0, 1.0, 1.0]))
    assert changed(predicted(Instance(np.ones(size, bool)), prompts=[prompt], size=size)).any()


def test_file_is_a_png_in_the_order_r_g_b():
    prediction = predicted(Instance(np.ones((30, 30), bool), (10, 10), label=3))
    with Image.open(io.BytesIO(encode_overlay(prediction))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), draw_overlay(prediction))


@pytest.mark.parametrize("size", [(1, 1_000_001), (1_000_001, 1)])
def test_very_long_images_are_written_as_well(size):
    prediction = predicted(Instance(np.ones((1, 1), bool)), size=size)
    with Image.open(io.BytesIO(encode_overlay(prediction))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), draw_overlay(prediction))
