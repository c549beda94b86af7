"""Prompts that lie outside of their image, as a whole or in part."""

from __future__ import annotations

import base64
import json

import pytest

from maskworks.errors import BadPrompt
from maskworks.images.reader import InProcessDecoder
from maskworks.pipeline import Pipeline
from maskworks.wire.placement import remarks_on
from maskworks.wire.prompt import parse_prompt
from maskworks.wire.request import read_message, read_pair
from tests.support.bright import Bright
from tests.support.jobs import a_job
from tests.support.samples import encoded

SIZE = (16, 24)  # height and width
INSIDE = [[8, 4], [4, 8], [12, 8], [8, 12]]


def click(x, y, label=1):
    return {"x": x, "y": y, "label": label}


def box(x0, y0, x1, y1):
    return {"x0": x0, "y0": y0, "x1": x1, "y1": y1}


def remarks(prompt):
    return remarks_on(parse_prompt(prompt), SIZE)


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": INSIDE},
        {"points": [[0, 0], [23, 15], [5, 5], [7, 7]]},
        {"points": [[-1, -1], [24, 16], [5, 5], [7, 7]]},  # the border is counted in many ways
        {"points": [click(8, 8), click(-1, 16, 0)]},
        {"box": box(0, 0, 24, 16)},
        {"points": [click(8, 8)], "box": box(4, 4, 12, 12)},
        {"mask_input": "AAAAAA=="},
        {"objects": [{"points": INSIDE}, {"box": box(4, 4, 12, 12)}]},
    ],
)
def test_nothing_is_said_of_what_is_inside(prompt):
    assert remarks(prompt) == {}


@pytest.mark.parametrize(
    ("prompt", "outside"),
    [
        ({"points": [[8, -2], *INSIDE]}, ["points[0]"]),
        ({"points": [*INSIDE, [25, 3], [3, 17]]}, ["points[4]", "points[5]"]),
        ({"points": [click(8, 8), click(30, 8, 0)]}, ["points[1]"]),
        ({"box": box(4, 4, 26, 12)}, ["box"]),
        ({"box": box(-100, -100, 100, 100)}, ["box"]),
        ({"points": [click(99, 99, 0)], "box": box(4, 4, 12, 12)}, ["points[0]"]),
        ({"points": [click(8, 8)], "box": box(50, 50, 60, 60)}, ["box"]),
        ({"objects": [{"points": INSIDE}, {"points": [[8, -2], *INSIDE]}]}, ["objects[1].points[0]"]),
    ],
)
def test_what_is_outside_in_part_is_told(prompt, outside):
    assert remarks(prompt) == {"outside": outside}


@pytest.mark.parametrize(
    ("prompt", "path"),
    [
        ({"points": [[100, 100], [110, 110], [120, 100], [110, 90]]}, "points"),
        ({"points": [[-9, 5], [30, 5], [5, -9], [5, 30]]}, "points"),
        ({"points": [click(8, 99)]}, "points"),
        ({"box": box(30, 4, 40, 12)}, "box"),
        ({"box": box(4, -40, 12, -4)}, "box"),
        ({"points": [click(99, 99)], "box": box(50, 50, 60, 60)}, "points"),
        ({"points": [click(99, 99)], "mask_input": "AAAAAA=="}, "points"),
        ({"objects": [{"points": INSIDE}, {"box": box(30, 4, 40, 12)}]}, "objects[1].box"),
    ],
)
def test_what_is_outside_as_a_whole_is_refused(prompt, path):
    with pytest.raises(
        BadPrompt, match="outside of the image, which has 24x16 pixels; expected x from 0 to 23"
    ) as caught:
        remarks(prompt)
    assert caught.value.path == path
    assert "exchange" not in caught.value.message


def test_x_and_y_may_have_been_exchanged():
    with pytest.raises(BadPrompt, match="did you exchange x and y"):
        remarks({"points": [click(8, 20)]})


@pytest.mark.parametrize(
    ("prompt", "hinted"),
    [
        ({"points": [click(0.5, 0.25)]}, True),
        ({"box": box(0, 0, 1, 1)}, True),
        ({"objects": [{"box": box(0.1, 0.1, 0.9, 1.0)}, {"points": [[0.5, 0.2]] * 4}]}, True),
        ({"objects": [{"box": box(0.1, 0.1, 0.9, 1.0)}, {"points": INSIDE}]}, False),
        ({"points": [click(1.01, 0.5)]}, False),
        ({"points": [click(-0.01, 0.5)]}, False),
        ({"mask_input": "AAAAAA=="}, False),
    ],
)
def test_coordinates_that_may_be_fractions_get_a_hint(prompt, hinted):
    assert ("hint" in remarks(prompt)) == hinted


def test_of_a_pixel_there_are_no_fractions():
    assert remarks_on(parse_prompt({"points": [click(0.5, 0.25)]}), (1, 1)) == {}


def test_thousands_outside_are_cut_short():
    assert len(remarks({"points": [[8, 8], *[[99, 99]] * 5000]})["outside"]) == 100


def test_it_is_told_in_the_log_and_in_answers_and_errors(caplog):
    prompt = {"points": [[8, -2], *INSIDE]}
    image = encoded()
    (outcome,) = Pipeline(predictor=Bright()).run([a_job("a", image, json.dumps(prompt).encode())])
    assert json.loads(outcome.parts["reply"])["meta"]["outside"] == ["points[0]"]
    assert json.loads(outcome.parts["opex"])["meta"]["outside"] == '["points[0]"]'
    assert caplog.messages == ["a: outside of the image: points[0] (meta.outside)"]
    far = json.dumps({"points": [[99, 99], *[[99, 98]] * 4]}).encode()
    with pytest.raises(BadPrompt, match="outside"):
        read_pair(a_job("a", image, far), InProcessDecoder())
    with pytest.raises(BadPrompt, match="outside"):
        read_message(
            a_job("a", json.dumps({"image": base64.b64encode(image).decode(), **json.loads(far)}).encode()),
            InProcessDecoder(),
        )


def test_fractions_are_told_in_the_log(caplog):
    prompt = json.dumps({"points": [[0.1, 0.5], [0.5, 0.1], [0.9, 0.5], [0.5, 0.9]]}).encode()
    Pipeline(predictor=Bright()).run([a_job("a", encoded(), prompt)])
    (line,) = caplog.messages
    assert line.startswith("a: all coordinates are between 0 and 1: are they fractions")
