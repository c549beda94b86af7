"""OPEX text, read back with the library that defines it."""

import json
import re
from datetime import datetime

import cv2
import numpy as np
import pytest
from opex import ObjectPredictions

from maskworks.geometry import compose, fill, trace
from maskworks.types import Instance, Prediction, Region, Request
from maskworks.wire.opex import encode_opex
from tests.support.samples import picture


def predicted(*instances, name="photo", meta=None):
    image = np.asarray(picture(size=(64, 48)))
    regions = tuple(trace(i.mask, i.offset) if i.mask is not None else () for i in instances)
    return Prediction(Request(name, image), instances, regions, compose(instances, image.shape[:2]), meta or {})


def ring(radius):
    y, x = np.indices((20, 20))
    distance = np.hypot(x - 9.5, y - 9.5)
    return (distance < 10) & ((distance > radius) | (distance < radius - 4))


def read(prediction, **options):
    return ObjectPredictions.from_json_string(encode_opex(prediction, **options).decode())


def restored(predictions, shape):
    """The mask that the polygons and holes of an OPEX text describe, made from the text alone."""
    mask = np.zeros(shape, np.uint8)
    for found in predictions.objects:
        cv2.fillPoly(mask, [np.array(found.polygon.points)], 1)
        for hole in json.loads(found.meta.get("holes", "[]")):
            cv2.fillPoly(mask, [np.array(hole)], 0)
    return mask


def test_one_object():
    mask = np.zeros((5, 8), bool)
    mask[1:4, 2:7] = True
    found = read(predicted(Instance(mask, (10, 20), name="cat", score=0.75)))
    assert found.id == "photo"
    assert len(found.objects) == 1
    (cat,) = found.objects
    assert (cat.label, cat.score) == ("cat", 0.75)
    assert (cat.bbox.left, cat.bbox.top, cat.bbox.right, cat.bbox.bottom) == (12, 21, 16, 23)
    assert sorted(map(tuple, cat.polygon.points)) == [(12, 21), (12, 23), (16, 21), (16, 23)]
    assert cat.meta == {"object": "0"}


def test_numbers_are_integers():
    text = json.loads(encode_opex(predicted(Instance(ring(7), (3, 4), score=1.0))))
    for found in text["objects"]:
        assert all(type(value) is int for value in found["bbox"].values())
        assert all(type(value) is int for point in found["polygon"]["points"] for value in point)


def test_without_a_score():
    text = json.loads(encode_opex(predicted(Instance(ring(7)))))
    assert all(found.get("score") is None for found in text["objects"])


@pytest.mark.parametrize("radius", [3, 5, 7, 9])
def test_polygons_and_holes_restore_the_mask(radius):
    prediction = predicted(Instance(ring(radius), (5, 6)), Instance(ring(radius), (38, 27)))
    np.testing.assert_array_equal(restored(read(prediction), (48, 64)), prediction.mask)


def test_polygons_and_holes_restore_noise():
    mask = np.random.default_rng(0).random((48, 64)) < 0.6
    found = read(predicted(Instance(mask)))
    assert any("holes" in one.meta for one in found.objects)
    np.testing.assert_array_equal(restored(found, (48, 64)), mask)


def test_parts_say_which_object_they_belong_to():
    two_parts = np.zeros((9, 9), bool)
    two_parts[:3, :3] = two_parts[6:, 6:] = True
    found = read(predicted(Instance(np.ones((4, 4), bool)), Instance(two_parts, name="pair"), Instance(None)))
    assert [(one.label, one.meta["object"]) for one in found.objects] == [("object", "0"), ("pair", "1"), ("pair", "1")]


def test_nothing_found():
    found = read(predicted())
    assert found.objects == []
    assert read(predicted(Instance(np.zeros((4, 4), bool)))).objects == []


def test_meta_values_are_strings():
    meta = {
        "segmenter": {"type": "DEXTR", "model_file": None},
        "prompt": {"points": [[1.5, 2]]},
        "note": "plain",
        "objects": [{"score": np.float32(0.5)}],
        "count": 3,
        "cache": None,
    }
    prediction = predicted(Instance(ring(7)), meta=meta)
    found = read(prediction)
    assert all(isinstance(value, str) for value in found.meta.values())
    assert all(isinstance(value, str) for one in found.objects for value in one.meta.values())
    assert found.meta["note"] == "plain"
    assert json.loads(found.meta["segmenter"]) == meta["segmenter"]
    assert json.loads(found.meta["prompt"]) == meta["prompt"]
    assert json.loads(found.meta["objects"]) == [{"score": 0.5}]
    assert (found.meta["count"], found.meta["cache"]) == ("3", "null")


def test_names_that_are_no_text():
    name = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    meta = {"prompt": {"note": "\ud800"}}
    found = read(predicted(name=name, meta=meta))
    assert found.id == r"caf\udce9 \udcff"
    assert json.loads(found.meta["prompt"]) == {"note": "\ud800"}
    assert read(predicted(name="Übergröße \N{GRINNING FACE}")).id == "Übergröße \N{GRINNING FACE}"


def test_timestamp():
    before = datetime.now()
    stamp = read(predicted()).timestamp
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?", stamp)
    assert before <= datetime.fromisoformat(stamp) <= datetime.now()
    assert read(predicted(), timestamp="2024-01-31 12:00:00.000001").timestamp == "2024-01-31 12:00:00.000001"


def test_regions_are_written_as_they_are():
    triangle = np.array([[0, 0], [8, 0], [4, 7]], np.int32)
    plain = predicted(Instance(fill([Region(triangle)], (8, 9))))
    (found,) = read(Prediction(plain.request, plain.instances, ((Region(triangle),),), plain.mask, {})).objects
    assert [list(point) for point in found.polygon.points] == triangle.tolist()
