"""What is written is read back as it was, whatever it is; what is wrong is refused with the place where it stands."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opex import ObjectPredictions

from maskworks.errors import BadJson, BadPrompt, RequestError
from maskworks.geometry import compose, fill, trace
from maskworks.images.reader import InProcessDecoder
from maskworks.types import Prediction, Request
from maskworks.wire.opex import encode_opex
from maskworks.wire.prompt import parse_prompt
from maskworks.wire.reply import decode_reply, encode_reply
from maskworks.wire.request import find_address, read_message
from tests.support.jobs import a_job
from tests.support.samples import encoded
from tests.support.strategies import NAMES, instances, json_values, masks, prompts, single_prompts

many = settings(deadline=None, derandomize=True, max_examples=300)
INSIDE = st.integers(0, 15) | st.floats(-1, 16)  # of the picture of 24x16 pixels
IMAGE = np.zeros((20, 20, 3), np.uint8)


def predicted(found, name="name"):
    regions = tuple(trace(instance.mask, instance.offset) for instance in found)
    return Prediction(Request(name, IMAGE, named=True), tuple(found), regions, compose(found, (20, 20)), {})


@many
@given(masks(24))
def test_rings_filled_are_the_mask_again(mask):
    np.testing.assert_array_equal(fill(trace(mask), mask.shape), mask)


@pytest.mark.slow("tries thousands of inputs")
@many
@given(prompts())
def test_prompts_are_read_as_they_were_written(value):
    singles = value.get("objects", [value])
    parsed = parse_prompt(json.loads(json.dumps(value)))
    assert len(parsed) == len(singles)
    for index, (single, prompt) in enumerate(zip(singles, parsed, strict=True)):
        assert prompt.label == single.get("label", index + 1 if "objects" in value else 1)
        if "box" in single:
            box = single["box"]
            assert sorted([box["x0"], box["x1"]]) == prompt.box[[0, 2]].tolist()
            assert sorted([box["y0"], box["y1"]]) == prompt.box[[1, 3]].tolist()
        if isinstance(single.get("points", [None])[0], list):
            assert prompt.extreme_points.tolist() == single["points"]
        elif "points" in single:
            assert prompt.clicks.tolist() == [[click["x"], click["y"]] for click in single["points"]]
            assert prompt.click_labels.tolist() == [click["label"] for click in single["points"]]


def places(value, path=()):
    """All places in a JSON value, as the keys that lead there."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@pytest.mark.slow("tries thousands of inputs")
@many
@given(st.data(), single_prompts(), json_values())
def test_a_prompt_with_anything_put_in_somewhere(data, value, thing):
    """It is read, or refused at a place that begins with a key of the prompt."""
    value = json.loads(json.dumps(value))
    *path, last = data.draw(st.sampled_from([place for place in places(value) if place]))
    target = value
    for key in path:
        target = target[key]
    target[last] = thing
    found = parsed_or_error(value)
    if isinstance(found, BadPrompt):
        assert re.match(r"points|box|label", found.path), found
    else:
        assert all(
            array is None or np.isfinite(array).all() for array in (found.extreme_points, found.clicks, found.box)
        )


def parsed_or_error(value):
    try:
        return parse_prompt(value)[0]
    except BadPrompt as error:
        return error


@pytest.mark.slow("tries thousands of inputs")
@many
@given(prompts(INSIDE), st.none() | NAMES | st.integers(-(2**63), 2**64 - 1), st.none() | NAMES, st.booleans())
def test_messages_are_read_as_they_were_written(value, name, reply_to, under_prompt):
    text = {"image": base64.b64encode(encoded()).decode(), **({"prompt": value} if under_prompt else value)}
    text |= {key: given for key, given in (("id", name), ("reply_to", reply_to)) if given is not None}
    request = read_message(a_job("entry", json.dumps(text).encode()), InProcessDecoder())
    assert request.id == ("entry" if name is None else name)
    assert (request.named, request.reply_to) == (name is not None, reply_to)
    default = {} if under_prompt or "objects" in value else {"label": 1}
    assert request.source == default | json.loads(json.dumps(value))
    assert request.image[8, 8].tolist() == [255, 255, 255]


@pytest.mark.slow("tries thousands of inputs")
@many
@given(st.dictionaries(st.sampled_from(["image", "points", "prompt", "id", "reply_to", "box", "x"]), json_values()))
def test_messages_of_anything(value):
    entry = a_job("entry", json.dumps(value).encode())
    with pytest.raises(RequestError):
        read_message(entry, InProcessDecoder())
    assert all(part is None or type(part) in (str, int) for part in find_address(entry.body))


@many
@given(st.binary(max_size=200))
def test_messages_that_are_no_text(data):
    with pytest.raises((BadJson, RequestError)):
        read_message(a_job("entry", data), InProcessDecoder())
    assert all(part is None or isinstance(part, str) for part in find_address(data))


@pytest.mark.slow("tries thousands of inputs")
@many
@given(st.lists(instances(), max_size=4), NAMES)
def test_replies_are_read_as_they_were_written(found, name):
    prediction = predicted(found, name)
    again = decode_reply(encode_reply(prediction), "other")
    assert again.request.id == name
    np.testing.assert_array_equal(again.mask, prediction.mask)
    assert [len(regions) for regions in again.regions if regions] == [len(r) for r in prediction.regions if r]
    for regions, expected in zip(filter(None, again.regions), filter(None, prediction.regions), strict=True):
        np.testing.assert_array_equal(fill(regions, (20, 20)), fill(expected, (20, 20)))


@pytest.mark.slow("tries thousands of inputs")
@many
@given(st.lists(instances(), max_size=4), NAMES)
def test_opex_is_read_as_it_was_written(found, name):
    prediction = predicted(found, name)
    again = ObjectPredictions.from_json_string(encode_opex(prediction).decode())
    assert again.id == name
    regions = [(index, region) for index, parts in enumerate(prediction.regions) for region in parts]
    assert len(again.objects) == len(regions)
    for written, (index, region) in zip(again.objects, regions, strict=True):
        assert written.label == found[index].name
        assert written.score == found[index].score
        assert written.polygon.points == region.outer.tolist()
        assert json.loads(written.meta.get("holes", "[]")) == [hole.tolist() for hole in region.holes]
