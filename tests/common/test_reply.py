"""JSON replies and error replies."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from maskworks import errors
from maskworks.commands import redis_clients as clients
from maskworks.geometry import compose, trace
from maskworks.types import Instance, Prediction, Request
from maskworks.wire.reply import decode_reply, encode_error, encode_reply
from tests.support.samples import picture


def reply(*instances, named=False, meta=None):
    image = np.asarray(picture(size=(50, 40)))
    regions = tuple(trace(i.mask, i.offset) if i.mask is not None else () for i in instances)
    request = Request("mine", image, named=named)
    prediction = Prediction(request, instances, regions, compose(instances, request.size), meta or {})
    return json.loads(encode_reply(prediction)), prediction


def mask_of(text):
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
        assert (image.format, image.mode) == ("PNG", "P")
        return np.asarray(image)


def drawn(text, labels):
    """The mask as a reader of the reply draws it: ring after ring, each followed by its holes."""
    image = Image.new("L", (50, 40))
    draw = ImageDraw.Draw(image)
    for ring, details in zip(text["contours"], text["meta"]["contours"], strict=True):
        draw.polygon([tuple(point) for point in ring], fill=labels[details["object"]])
        for hole in details.get("holes", []):
            draw.polygon([tuple(point) for point in hole], fill=0)
    return np.asarray(image)


@pytest.mark.parametrize("density", [0.1, 0.4, 0.6, 0.9])
def test_contours_and_holes_restore_the_mask(density):
    rng = np.random.default_rng(0)
    left = Instance(rng.random((40, 20)) < density, label=3)
    right = Instance(rng.random((30, 25)) < density, (24, 5), label=200)
    text, prediction = reply(left, right)
    np.testing.assert_array_equal(mask_of(text["mask"]), prediction.mask)
    np.testing.assert_array_equal(drawn(text, [3, 200]), prediction.mask)
    assert all(len(ring) >= 3 for ring in text["contours"])
    assert all(type(value) is int for ring in text["contours"] for point in ring for value in point)


def test_a_reply_has_no_members_but_those_needed():
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    text, _ = reply(Instance(ring, (2, 3)), Instance(None), Instance(np.ones((2, 2), bool)), meta={"cache": "hit"})
    assert set(text) == {"mask", "contours", "meta"}
    assert text["meta"] == {
        "cache": "hit",
        "contours": [{"object": 0, "holes": [text["meta"]["contours"][0]["holes"][0]]}, {"object": 2}],
    }
    assert sorted(text["meta"]["contours"][0]["holes"][0]) == [[3, 4], [3, 6], [5, 4], [5, 6]]


def test_nothing_found():
    text, _ = reply()
    assert (text["contours"], text["meta"]) == ([], {"contours": []})
    assert not mask_of(text["mask"]).any()


def test_an_id_is_echoed_only_if_there_was_one():
    assert "id" not in reply()[0]
    assert reply(named=True)[0]["id"] == "mine"


ERRORS = {
    "bad_json": errors.BadJson("text"),
    "bad_prompt": errors.BadPrompt("box.x0", "missing", "a number"),
    "unsupported_prompt": errors.UnsupportedPrompt("points", "clicks", "extreme points"),
    "bad_image": errors.BadImage("text"),
    "image_too_large": errors.ImageTooLarge("text"),
    "out_of_memory": errors.OutOfMemory("text"),
    "overloaded": errors.Overloaded("text"),
    "internal": errors.Internal("text"),
    "unauthorized": errors.Unauthorized("text"),
    "not_acceptable": errors.NotAcceptable("text"),
    "slow_upload": errors.SlowUpload("text"),
    "timed_out": errors.TimedOut("text"),
}


@pytest.mark.parametrize(("code", "error"), ERRORS.items(), ids=ERRORS)
def test_an_error_has_a_code_a_message_and_the_id(code, error):
    text = json.loads(encode_error(error, "mine", {"segmenter": {"type": "DEXTR"}}))
    assert text == {
        "error": {"code": code, "message": error.message},
        "id": "mine",
        "meta": {"segmenter": {"type": "DEXTR"}},
    }
    assert 400 <= error.status < 600


def test_error_without_an_id():
    error = errors.BadImage("image: empty")
    assert json.loads(encode_error(error))["id"] is None


def test_errors_with_names_that_are_no_text():
    error = errors.BadImage("a\udcff.jpg: broken")
    text = json.loads(encode_error(error, "a\udcff"))
    assert (text["id"], text["error"]["message"]) == ("a\udcff", "a\udcff.jpg: broken")


def test_every_error_of_a_request_has_a_code_of_its_own():
    classes = set(errors.RequestError.__subclasses__()) - {errors.HttpError}  # whose code follows from its status
    assert sorted(error.code for error in classes) == sorted(ERRORS)


def png(mode):
    buffer = io.BytesIO()
    Image.new(mode, (50, 40)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def broken(text, chunk, new):
    """With other bytes before the name of a chunk: its length, or the end of the header."""
    data = base64.b64decode(text)
    place = data.index(chunk) - len(new)
    return base64.b64encode(data[:place] + new + data[place + len(new) :]).decode()


@pytest.mark.parametrize(
    "change",
    [
        {"mask": 3}, {"mask": ""}, {"mask": png("RGB")}, {"mask": png("I;16")},
        {"mask": broken(png("P"), b"IDAT", b"\0\0\0\1")}, {"mask": png("P")[:80]},
        {"mask": broken(png("P"), b"\1\3\0\0\0", b"\0\x0f\xff\xff\0\x0f\xff\xff")}, {"contours": [[]]}, {"contours": 3},
        {"contours": [[[2**31 - 1, 0], [3, 0], [-(2**31), 3]]]}, {"contours": [[[2**40, 0], [3, 0], [0, 3]]]},
        {"meta": 3}, {"meta": {"contours": []}}, {"meta": {"contours": [{"object": 10**9}]}},
        {"meta": {"contours": [{"object": -1}]}}, {"meta": {"contours": [{"object": "a"}]}},
        {"meta": {"contours": [{"holes": [[]]}]}},
    ],
    ids=str,
)  # fmt: skip
def test_replies_that_are_none(change):
    good = {"mask": png("P"), "contours": [[[1, 1], [5, 1], [5, 5]]], "meta": {"contours": [{"object": 0}]}}
    assert len(decode_reply(json.dumps(good).encode(), "x").instances) == 1
    with pytest.raises(errors.BadJson, match="reply:"):
        decode_reply(json.dumps({**good, **change}).encode(), "x")


@pytest.mark.parametrize("error", ["text", None, {}, [1]])
def test_errors_of_other_workers(error, capsys):
    text = json.dumps({"error": error}).encode()
    assert clients._files(text, "x", None) == {".error.json": text}
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("objects", [[{"name": "cup"}, {"name": 7}], [{"name": "cup"}], [{"name": "cup"}, 5, {}]])
def test_objects_keep_their_names(objects):
    square = np.ones((5, 5), np.uint8)
    text, _ = reply(Instance(square, (1, 1)), Instance(square, (20, 20)), meta={"objects": objects})
    assert [one.name for one in decode_reply(json.dumps(text).encode(), "x").instances] == ["cup", "object"]
    files = clients._files(json.dumps(text).encode(), "x", None)
    assert [one["label"] for one in json.loads(files[".json"])["objects"]] == ["cup", "object"]


def test_replies_about_prompts_that_are_refused_now_are_read():
    """Workers of before passed over such keys, and places outside of the image."""
    prompt = {"box": {"x0": 900, "y0": 1, "x1": 999, "y1": 9}, "point_coords": [[1, 2]]}
    text, prediction = reply(Instance(np.ones((5, 5), np.uint8)), meta={"prompt": prompt})
    again = decode_reply(json.dumps(text).encode(), "x", prediction.request.image)
    assert again.request.source == prompt
