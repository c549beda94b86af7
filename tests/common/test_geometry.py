"""Masks to rings and back."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from maskworks.geometry import (
    bounding_box,
    compose,
    drop_specks,
    extreme_values,
    fill,
    min_area_rectangle,
    overlap,
    trace,
)
from maskworks.types import Instance


def _size(rng):
    return tuple(int(n) for n in rng.integers(1, 41, 2))


def salt(rng):
    return rng.random(_size(rng)) < rng.random()


def blobs(rng):
    noise = cv2.GaussianBlur(rng.random(_size(rng)), (0, 0), 0.7 + 3 * rng.random())
    return noise > np.quantile(noise, 0.1 + 0.8 * rng.random())


def blocks(rng):
    small = rng.random(rng.integers(1, 10, 2)) < 0.5
    return small.repeat(rng.integers(1, 5), 0).repeat(rng.integers(1, 5), 1)


def nested_rings(rng):
    y, x = np.indices(_size(rng))
    distance = np.maximum(abs(y - rng.integers(20)), abs(x - rng.integers(20)))
    return distance // rng.integers(1, 4) % 2 == 1


def diagonals(rng):
    y, x = np.indices(_size(rng))
    return ((x + y) % rng.integers(2, 5) == 0) | ((x - y) % rng.integers(2, 9) == 0)


def single_pixels(rng):
    mask = np.zeros(_size(rng), bool)
    for _ in range(rng.integers(1, 4)):
        mask[rng.integers(mask.shape[0]), rng.integers(mask.shape[1])] = True
    return mask


def lines(rng):
    mask = np.zeros(_size(rng), np.uint8)
    for _ in range(rng.integers(1, 6)):
        cv2.line(mask, rng.integers(-5, 45, 2).tolist(), rng.integers(-5, 45, 2).tolist(), 1)
    return mask > 0


def frame(rng):
    mask = np.ones(_size(rng), bool)
    width = rng.integers(1, 4)
    mask[width:-width, width:-width] = rng.random() < 0.2
    return mask


KINDS = [salt, blobs, blocks, nested_rings, diagonals, single_pixels, lines, frame]


def drawn_by_pillow(regions, shape):
    """All rings on one canvas in the order in which they are listed, as a reader without this library would do it."""
    image = Image.new("L", shape[::-1])
    draw = ImageDraw.Draw(image)
    for region in regions:
        draw.polygon([tuple(point) for point in region.outer.tolist()], fill=1, outline=1)
        for hole in region.holes:
            draw.polygon([tuple(point) for point in hole.tolist()], fill=0, outline=0)
    return np.asarray(image)


@pytest.mark.slow("tries thousands of inputs")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_filled_rings_are_the_mask_again(kind: Callable):
    rng = np.random.default_rng(1)
    for index in range(2500):  # of 8 kinds, so 20 000 in all
        mask = kind(rng)
        regions = trace(mask)
        assert (fill(regions, mask.shape) == mask).all(), mask
        if index % 8 == 0:
            assert (drawn_by_pillow(regions, mask.shape) == mask).all(), mask
        rings = [ring for region in regions for ring in (region.outer, *region.holes)]
        assert all(len(ring) >= 3 and ring.dtype == np.int32 for ring in rings)


@pytest.mark.slow("tries thousands of inputs")
def test_every_part_and_every_hole_of_3x4_pixels():
    for bits in range(2**12):
        mask = (bits >> np.arange(12) & 1).astype(np.uint8).reshape(3, 4)
        framed = np.pad(mask, 1, constant_values=1)
        assert (fill(trace(mask), mask.shape) == mask).all(), mask
        assert (fill(trace(framed), framed.shape) == framed).all(), framed


@pytest.mark.parametrize("dtype", [bool, np.uint8])
@pytest.mark.parametrize("value", [1, 7, 255])
def test_any_value_but_0_is_inside_and_views_are_fine(dtype, value):
    whole = (np.random.default_rng(2).random((60, 80)) < 0.5).astype(np.uint8) * value
    for view in (whole[::2, ::3], whole.T, whole[::-1, ::-1], np.asfortranarray(whole)):
        mask = view.astype(dtype) if dtype is bool else view
        before = mask.copy()
        np.testing.assert_array_equal(fill(trace(mask), mask.shape), mask != 0)
        np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 5), (300, 400)])
def test_full_and_empty_masks(shape):
    assert trace(np.zeros(shape, bool)) == ()
    (region,) = trace(np.ones(shape, bool))
    assert bounding_box(region.outer) == (0, 0, shape[1] - 1, shape[0] - 1)
    assert region.holes == ()
    np.testing.assert_array_equal(fill([region], shape), 1)


def test_parts_are_8_connected_holes_4_connected_and_nested_parts_come_after_what_is_around_them():
    mask = np.array(
        [
            [1, 1, 1, 1, 1, 0, 0],
            [1, 0, 0, 0, 1, 0, 0],
            [1, 0, 1, 0, 1, 0, 0],
            [1, 0, 0, 0, 1, 0, 0],
            [1, 1, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 0, 1, 0],
        ],
        np.uint8,
    )
    outer, inner = trace(mask)
    assert bounding_box(outer.outer) == (0, 0, 5, 5)
    assert [bounding_box(hole) for hole in outer.holes] == [(1, 1, 3, 3)]
    assert bounding_box(inner.outer) == (2, 2, 2, 2)
    checkers = np.indices((4, 5)).sum(axis=0) % 2
    assert len(trace(checkers == 0)) == 1
    assert len(trace(checkers == 0)[0].holes) == 3


def test_regions_are_sorted_by_their_first_pixel():
    for seed in range(50):
        mask = blobs(np.random.default_rng(seed))
        firsts = [tuple(region.outer[np.lexsort(region.outer.T)[0]][::-1]) for region in trace(mask)]
        assert firsts == sorted(firsts)


def test_offset_moves_everything():
    mask = nested_rings(np.random.default_rng(3))
    for plain, moved in zip(trace(mask), trace(mask, (100, -7)), strict=True):
        np.testing.assert_array_equal(moved.outer - plain.outer, np.full_like(plain.outer, (100, -7)))
        for hole, moved_hole in zip(plain.holes, moved.holes, strict=True):
            np.testing.assert_array_equal(moved_hole - hole, np.full_like(hole, (100, -7)))


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.5, 6.0])
def test_simplified_rings_stay_within_the_distance(distance):
    rng = np.random.default_rng(4)
    shorter = 0
    for _ in range(60):
        noise = cv2.GaussianBlur(rng.random((90, 120)), (0, 0), 6)
        mask = noise > np.quantile(noise, 0.6)
        for exact, simple in zip(trace(mask), trace(mask, simplify=distance), strict=True):
            for ring, kept in zip((exact.outer, *exact.holes), (simple.outer, *simple.holes), strict=True):
                assert len(kept) >= 3
                assert furthest(ring, kept) <= distance + 1e-9
                shorter += len(ring) - len(kept)
    assert shorter > 1000


def test_simplify_keeps_spikes_that_run_along_a_line():
    mask = np.zeros((9, 60), bool)
    mask[3:6, 20:40] = True
    mask[4, 2:58] = True
    (exact,), (simple,) = trace(mask), trace(mask, simplify=2)
    assert furthest(exact.outer, simple.outer) <= 2


def furthest(points, ring):
    """The largest distance of points to the nearest line between neighbours in the ring."""
    start, line = ring[None].astype(float), (np.roll(ring, -1, axis=0) - ring)[None].astype(float)
    along = ((points[:, None] - start) * line).sum(-1) / np.maximum((line**2).sum(-1), 1e-12)
    nearest = start + np.clip(along, 0, 1)[..., None] * line
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1).max()


def test_simplify_leaves_small_parts_a_polygon():
    mask = single_pixels(np.random.default_rng(5))
    mask[0, :3] = True
    for region in trace(mask, simplify=50):
        assert len(region.outer) >= 3


@pytest.mark.parametrize(("min_area", "kept"), [(0, 16), (1, 16), (2, 15), (5, 15), (5.5, 10), (10, 10), (11, 0)])
def test_specks_of_fewer_pixels_are_dropped(min_area, kept):
    mask = np.zeros((10, 12), bool)
    mask[0, 0] = True  # 1 pixel
    mask[[2, 3, 4, 5, 6], [2, 3, 4, 5, 6]] = True  # 5 pixels, joined by corners
    mask[8:10, 7:12] = True  # 10 pixels
    clean = drop_specks(mask, min_area)
    assert clean.dtype == np.uint8
    assert clean.sum() == kept
    assert set(np.unique(clean)) <= {0, 1}
    assert not clean[~mask].any()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_a_mask_without_pixels(shape):
    mask = np.zeros(shape, bool)
    assert drop_specks(mask, 5).shape == shape
    assert trace(mask) == ()
    assert extreme_values(mask) is None
    assert not compose([Instance(mask, (3, 3))], (10, 10)).any()


def test_specks_of_masks_with_other_values():
    mask = np.array([[255, 255, 0, 7]], np.uint8)
    np.testing.assert_array_equal(drop_specks(mask, 2), [[1, 1, 0, 0]])


def test_later_instances_lie_on_top():
    low = Instance(np.ones((3, 3), bool), (1, 1), label=5)
    high = Instance(np.array([[0, 200], [1, 0]], np.uint8), (2, 0), label=255)
    expected = [[0, 0, 0, 255], [0, 5, 255, 5], [0, 5, 5, 5], [0, 5, 5, 5]]
    np.testing.assert_array_equal(compose([low, Instance(None), high], (4, 4)), expected)
    assert compose([high, low], (4, 4))[1, 2] == 5
    assert compose([], (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("offset", [(x, y) for x in (-9, -2, 0, 3, 9) for y in (-9, -1, 2, 9)])
def test_parts_reaching_out_of_the_image_are_cut(offset):
    part = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    expected = np.zeros((5, 6), np.uint8)
    for (y, x), value in np.ndenumerate(part):
        if 0 <= y + offset[1] < 5 and 0 <= x + offset[0] < 6:
            expected[y + offset[1], x + offset[0]] = value
    image = np.zeros((5, 6), np.uint8)
    target, source = overlap(part.shape, offset, image.shape)
    image[target] = part[source]
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(compose([Instance(part, offset)], image.shape), expected > 0)
    np.testing.assert_array_equal(fill(trace(part, offset), image.shape), expected > 0)


def test_boxes_and_rectangles():
    mask = np.zeros((20, 30), bool)
    assert extreme_values(mask) is None
    mask[3:9, 5:21] = True
    np.testing.assert_array_equal(extreme_values(mask, (100, 50)), [105, 53, 120, 58])
    (region,) = trace(mask)
    assert bounding_box(region.outer) == (5, 3, 20, 8)
    assert min_area_rectangle(region.outer) == pytest.approx((5, 15))
    diamond = np.array([[10, 0], [20, 10], [10, 20], [0, 10]], np.int32)
    assert min_area_rectangle(diamond) == pytest.approx((200**0.5, 200**0.5), rel=1e-5)
