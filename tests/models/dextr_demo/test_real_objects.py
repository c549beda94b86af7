"""The annotated real objects, and the prompts of the demo photos."""

import json

import cv2
import numpy as np
import pytest
from real_objects import PHOTOS, filled, iou, real_objects

OBJECTS = real_objects()
PROMPTS = sorted(PHOTOS.glob("*.points"))


def test_there_are_enough_from_several_photos():
    assert len(OBJECTS) >= 15
    assert len({o.photo for o in OBJECTS}) >= 5


@pytest.mark.parametrize("o", OBJECTS, ids=lambda o: f"{o.photo}-{o.name}")
def test_points_are_the_extremes_of_the_mask(o):
    ys, xs = np.nonzero(o.mask)
    assert o.points.min(axis=0).tolist() == [ys.min(), xs.min()]
    assert o.points.max(axis=0).tolist() == [ys.max(), xs.max()]
    assert all(o.mask[y, x] for y, x in o.points.astype(int))
    assert cv2.connectedComponents(o.mask.astype(np.uint8), connectivity=4)[0] == 2


def test_tested_coins_are_not_those_of_the_training():
    training = json.loads((PHOTOS.parent / "material" / "coins.json").read_text())
    coins = [o for o in OBJECTS if o.photo == "coins.jpg"]
    assert len(coins) == len(training) == 12
    seen = np.logical_or.reduce([filled(polygon, coins[0].mask.shape) for polygon in training])
    assert not any((o.mask & seen).any() for o in coins)
    assert np.nonzero(seen)[0].max() < 150 < min(np.nonzero(o.mask)[0].min() for o in coins)


def test_iou_of_shifted_squares():
    a, b = np.zeros((2, 10, 10), bool)
    a[:4, :4] = b[:4, 2:6] = True
    assert iou(a, b) == pytest.approx(8 / 24)
    assert iou(a, a) == 1


def test_every_demo_photo_has_a_prompt_and_a_credit():
    photos = sorted(PHOTOS.glob("*.jpg"))
    credits = (PHOTOS / "CREDITS.md").read_text()
    assert 4 <= len(photos) <= 6
    assert [p.stem for p in photos] == [p.stem for p in PROMPTS]
    assert all(p.name in credits and p.stat().st_size < 400_000 for p in photos)


@pytest.mark.parametrize("path", PROMPTS, ids=lambda path: path.stem)
def test_prompts_name_annotated_objects(path):
    prompt = json.loads(path.read_text())
    known = [set(map(tuple, o.points[:, ::-1].tolist())) for o in OBJECTS if o.photo == path.with_suffix(".jpg").name]
    for entry in prompt.get("objects", [prompt]):
        assert set(map(tuple, entry["points"])) in known
