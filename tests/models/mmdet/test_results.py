"""What is written: OPEX and CSV, boxes and polygons, from predictions made by hand."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from opex import ObjectPredictions

from maskworks.config import InputConfig
from maskworks.geometry import compose, trace
from maskworks.images.reader import InProcessDecoder, decode_image
from maskworks.types import Instance, Prediction, Request
from maskworks_mmdet import results
from maskworks_mmdet.options import MmdetConfig, MmdetFolderConfig
from maskworks_mmdet.rois import encode_rois
from tests.support.jobs import a_job

FILES = {"checkpoint": Path("c.pth"), "config": Path("c.py")}
OLD_COLUMNS = "file,x0,y0,x1,y1,x0n,y0n,x1n,y1n,label,label_str,score"
POLYGON_COLUMNS = "poly_x,poly_y,poly_xn,poly_yn,minrect_w,minrect_h"


def instance(mask=None, box=(10.4, 5.6, 30.2, 25.5), label=1):
    return Instance(mask, (0, 0), label + 1, "dog", 0.75, np.array(box), {"class": label})


def two_parts():
    """Rectangles of 11x6 and 6x6 pixels."""
    mask = np.zeros((40, 50), np.uint8)
    mask[10:16, 10:21] = mask[20:26, 25:31] = 1
    return mask


def predicted(*instances, name="photo.jpg"):
    regions = tuple(trace(i.mask, i.offset) if i.mask is not None else () for i in instances)
    image = np.zeros((40, 50, 3), np.uint8)
    return Prediction(Request(name, image), instances, regions, compose(instances, (40, 50)), {})


def opex(prediction, **flags):
    return ObjectPredictions.from_json_string(results.opex(prediction, MmdetConfig(**FILES, **flags)).decode())


def rows(prediction, **flags):
    text = encode_rois(prediction, MmdetFolderConfig(**FILES, prediction_format="csv", **flags)).decode()
    return text.splitlines()[0], list(csv.DictReader(io.StringIO(text)))


def corners(box):
    return box.left, box.top, box.right, box.bottom


def test_every_part_is_an_object_with_the_models_box():
    found = opex(predicted(instance(two_parts())))
    assert found.id == "photo.jpg"
    assert [corners(o.bbox) for o in found.objects] == [(10, 6, 30, 26)] * 2
    assert [o.meta["object"] for o in found.objects] == ["0", "0"]
    assert {tuple(p) for p in found.objects[1].polygon.points} == {(25, 20), (25, 25), (30, 25), (30, 20)}
    assert (found.objects[0].label, found.objects[0].score) == ("dog", 0.75)


def test_the_box_of_the_polygon():
    found = opex(predicted(instance(two_parts())), fit_bbox_to_polygon=True)
    assert [corners(o.bbox) for o in found.objects] == [(10, 10, 20, 15), (25, 20, 30, 25)]


@pytest.mark.parametrize(("ratio", "points"), [(0.5, 4), (0.95, 4), (-1.0, 4)])
def test_the_box_as_fallback(ratio, points):
    # The box around both parts has 21 x 16 pixels, the model's 19.8 x 19.9: they cover 85 % of it.
    found = opex(predicted(instance(two_parts())), bbox_as_fallback=ratio)
    assert len(found.objects) == (1 if ratio > 0.86 else 2)
    if ratio > 0.86:
        assert found.objects[0].polygon.points == [[10, 6], [30, 6], [30, 26], [10, 26]]
    assert all(len(o.polygon.points) == points for o in found.objects)


@pytest.mark.parametrize("mask", [None, np.zeros((40, 50), np.uint8)])
def test_without_mask_the_box_is_the_polygon(mask):
    (only,) = opex(predicted(instance(mask))).objects
    assert only.polygon.points == [[10, 6], [30, 6], [30, 26], [10, 26]]
    assert corners(only.bbox) == (10, 6, 30, 26)


def test_the_smallest_rectangle():
    found = opex(predicted(instance(two_parts())), output_minrect=True).objects
    assert [(o.meta["minrect_w"], o.meta["minrect_h"]) for o in found] == [("5.00", "10.00"), ("5.00", "5.00")]


def test_nothing_found():
    assert opex(predicted()).objects == []
    assert rows(predicted()) == (OLD_COLUMNS, [])


def test_csv_has_the_old_columns():
    header, (first, second) = rows(predicted(instance(two_parts())), output_minrect=True)
    assert header == f"{OLD_COLUMNS},{POLYGON_COLUMNS}"
    assert (first["file"], first["label"], first["label_str"], first["score"]) == ("photo.jpg", "1", "dog", "0.75")
    assert [float(first[k]) for k in ("x0", "y0", "x1", "y1")] == [10.4, 5.6, 30.2, 25.5]
    assert [float(first[k]) for k in ("x0n", "y0n", "x1n", "y1n")] == pytest.approx([0.208, 0.14, 0.604, 0.6375])
    assert (first["minrect_w"], first["minrect_h"]) == ("5.0", "10.0")
    points = set(zip(second["poly_x"].split(","), second["poly_y"].split(","), strict=True))
    assert points == {("25", "20"), ("25", "25"), ("30", "25"), ("30", "20")}
    assert [float(x) for x in second["poly_xn"].split(",")] == [int(x) / 50 for x in second["poly_x"].split(",")]


def test_rois_is_the_older_name_of_csv():
    config = MmdetFolderConfig(**FILES, prediction_format="rois", output_width_height=True)
    assert list(config.problems()) == [f"--{k}: {v} is not a file; correct the path" for k, v in FILES.items()]
    form = results.DetectionFiles(config, overlay=False)
    assert dict(form.suffixes)["result"] == "-rois.csv"
    seen = predicted(instance(two_parts()))
    csv_config = MmdetFolderConfig(**FILES, prediction_format="csv", output_width_height=True)
    assert form.write(seen) == {"result": encode_rois(seen, csv_config)}


def test_csv_with_width_and_height():
    header, (row,) = rows(predicted(instance()), output_width_height=True)
    assert header == "file,x,y,w,h,xn,yn,wn,hn,label,label_str,score"
    assert [float(row[k]) for k in ("x", "y", "w", "h")] == pytest.approx([10.4, 5.6, 19.8, 19.9])
    assert float(row["wn"]) == pytest.approx(19.8 / 50)


def test_csv_without_rectangles_leaves_their_columns_empty():
    _, (row, _) = rows(predicted(instance(two_parts())))
    assert (row["minrect_w"], row["minrect_h"]) == ("", "")


def test_files_and_their_names():
    config = MmdetFolderConfig(**FILES)
    form = results.DetectionFiles(config, overlay=False)
    assert dict(form.suffixes)["result"] == ".json"
    assert form.keep_extension
    assert set(form.write(predicted(instance(two_parts())))) == {"result"}
    csv_form = results.DetectionFiles(MmdetFolderConfig(**FILES, prediction_format="csv", prediction_mask=True), True)
    assert dict(csv_form.suffixes)["result"] == "-rois.csv"
    assert set(csv_form.write(predicted(instance(two_parts())))) == {"result", "mask", "overlay"}
    assert MmdetFolderConfig(**FILES, prediction_suffix="-x.opex").suffix == "-x.opex"


def test_a_message_is_called_by_the_time_at_which_the_work_started():
    from tests.support.samples import encoded

    form = results.DetectionMessages(MmdetConfig(**FILES))
    assert form.in_order
    request = form.read(a_job("request 1", encoded()), InProcessDecoder())
    image, _ = decode_image(encoded(), InputConfig())
    assert (request.image == image).all()
    reply = json.loads(form.write(Prediction(request, (), (), np.zeros((16, 24), np.uint8), {}))["reply"])
    assert reply["id"] == reply["timestamp"]
    assert len(reply["id"]) == len("2026-11-21 10:15:30.123456")


def test_a_json_message_keeps_its_id():
    from tests.support.redis_process import message

    form = results.DetectionMessages(MmdetConfig(**FILES))
    request = form.read(a_job("request 1", message(id="cup-17", reply_to="mine")), InProcessDecoder())
    assert (request.id, request.reply_to) == ("cup-17", "mine")
    reply = json.loads(form.write(Prediction(request, (), (), np.zeros((16, 24), np.uint8), {}))["reply"])
    assert reply["id"] == "cup-17"
