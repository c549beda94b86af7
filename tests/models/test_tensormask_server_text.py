"""Images as JSON integers: what json reads is read, and what json or the format refuses is refused."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskworks.config import InputConfig
from maskworks.errors import BadImage, BadJson, ImageTooLarge, RequestError
from maskworks_tensormask.image_text import read_image, write_image
from tests.support.peak_memory import peak_memory

SPACINGS = [(",", ":"), (", ", ": "), (",\n ", ":"), (" , ", " : ")]


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_lists(pixels):
    return pixels[:, :, ::-1].transpose(2, 0, 1).tolist()


def plainly(text: bytes) -> np.ndarray | None:
    """What the standard library makes of it: RGB, or None if that is not an image."""
    try:
        planes = json.loads(text)["img_data"]
        values = [value for plane in planes for row in plane for value in row]
        if any(type(value) is not int or not 0 <= value <= 255 for value in values):
            return None
        array = np.array(planes, np.uint8)
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return array[::-1].transpose(1, 2, 0) if array.ndim == 3 and len(array) == 3 and array.size else None


def read(text: bytes) -> np.ndarray | None:
    try:
        return read_image(text, InputConfig())
    except RequestError:
        return None


@pytest.mark.parametrize("separators", SPACINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 3), (40, 300), (400, 500)])
def test_every_way_of_writing_it_is_read(size, separators):
    pixels = image(*size)
    text = json.dumps({"img_data": as_lists(pixels)}, separators=separators).encode()
    np.testing.assert_array_equal(read_image(text, InputConfig()), pixels)


def test_what_is_written_is_read():
    pixels = image(300, 500)
    np.testing.assert_array_equal(read_image(write_image(pixels), InputConfig()), pixels)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("\ufeff{", "}"),
        (' {"name" : "cup 1.jpg", "threshold": 0.5, "n":-3 ,', "}"),
        ("{", ', "deep": null,\n"fast":true}\n'),
    ],
)
@pytest.mark.parametrize("indent", [None, 1, "\t"])
def test_other_members_and_any_spacing_are_read(start, end, indent):
    pixels = image(200, 300)
    array = json.dumps(as_lists(pixels), indent=indent).replace("\n", "\r\n")
    text = f'{start}"img_data": {array}{end}'.encode()
    np.testing.assert_array_equal(read_image(text, InputConfig()), pixels)


@pytest.mark.parametrize(
    "member",
    [
        {"name": "cup (1).jpg"}, {"name": 'Müller, "x" ]}.jpg'}, {"tags": ["a", "b"]}, {"meta": {"station": [4, {}]}},
        {"meta": {"img_data": "cam1"}},
        {"exposure-time": 1e-07}, {'x"img_datb': 'img_data"'},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("ascii_only", [False, True])
def test_large_images_may_have_any_other_members(member, ascii_only):
    pixels = image(300, 600)  # more values than a JSON reader is given
    for content in ({**member, "img_data": as_lists(pixels)}, {"img_data": as_lists(pixels), **member}):
        text = json.dumps(content, ensure_ascii=ascii_only).encode()
        np.testing.assert_array_equal(read_image(text, InputConfig()), pixels)


@pytest.mark.parametrize(
    "text",
    [
        '{"img_data": [[[1]],[[2]],[[3]]], "img_data": 5}', '{"img_data": 5, "img_data": [[[1]],[[2]],[[3]]]}',
        '{"a": 1 "img_data": [[[1]],[[2]],[[3]]]}', '{"a": 01, "img_data": [[[1]],[[2]],[[3]]]}',
        '{"a": {"img_data": [[[1]],[[2]],[[3]]]}}', '{"a": "b\tc", "img_data": [[[1]],[[2]],[[3]]]}',
        '{"img_data": [[[1]],[[2]],[[3]]], }', '{, "img_data": [[[1]],[[2]],[[3]]]}',
        '{"a": "\\"img_data\\": [[[1]],[[2]],[[3]]]"}', '{"x\\"img_data": [[[1]],[[2]],[[3]]]}',
        '{"img_data": [[[1]],[[2]],[[3]]], "img_data": [[[4]],[[5]],[[6]]]}',
        '{"img_data": [[[1]],[[2]],[[3]]], "img\\u005fdata": 0}', '{"img_data": [[[1]],[[2]],[[3]]], 5]}',
        '{"a": {"img_data": [[[1]],[[2]],[[3]]]}, "img_data": 0}', '[{"img_data": [[[1]],[[2]],[[3]]]}]',
        '{"img_data": [[[1]],[[2]],[[3]]]', '{"img_data": [[[1]],[[2]],[[3]]], "a": [}',
        '"img_data": [[[1]],[[2]],[[3]]]',
        '{"img_data": [[[1\n2]],[[2\n2]],[[3\n2]]]}', '{"img_data": [[[1\f]],[[2]],[[3]]]}',
    ],
)  # fmt: skip
def test_other_members_are_read_as_json_reads_them(text):
    expected, found = plainly(text.encode()), read(text.encode())
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("unit", [b"[],", b'"",', b"1.5,", b"[[1],[1]],", b"300,"])
def test_large_texts_that_are_no_image_are_refused_without_reading_them(unit):
    text = b'{"img_data": [' + unit * 1_000_000 + b"1]}"
    with peak_memory() as peak, pytest.raises(BadImage, match="too long to say where; expected three channels"):
        read_image(text, InputConfig())
    assert peak() < 2 * len(text) + 20_000_000


def test_reading_a_large_image_takes_less_memory_than_its_text():
    text = write_image(image(1000, 1000))  # 11 MB; as Python objects it takes 72 MB
    with peak_memory() as peak:
        read_image(text, InputConfig())
    assert peak() < len(text)


@pytest.mark.parametrize(
    "text",
    [
        "[[[1 2]],[[1]],[[1]]]", "[[[12 ]],[[1]],[[1]]]", "[[[ 1]],[[1]],[[1]]]", "[[[1,]],[[1,]],[[1,]]]",
        "[[[256]],[[1]],[[1]]]", "[[[299]],[[1]],[[1]]]", "[[[1000]],[[1]],[[1]]]", "[[[01]],[[1]],[[1]]]",
        "[[[00]],[[1]],[[1]]]", "[[[-1]],[[1]],[[1]]]", "[[[1.0]],[[1]],[[1]]]", "[[[1e1]],[[1]],[[1]]]",
        "[[[true]],[[1]],[[1]]]", "[[[null]],[[1]],[[1]]]", '[[["1"]],[[1]],[[1]]]', "[[[1]],[[1]]]",
        "[[[1]],[[1]],[[1]],[[1]]]", "[[[1,2]],[[1]],[[1]]]", "[[[1],[2]],[[1]],[[1]]]", "[[[]],[[]],[[]]]",
        "[[],[],[]]", "[]", "[[[1]]1,[[1]],[[]]]", "[[[1]],[[1]],1[[]]]", "[[[1]],[[1]],[[1]]", "[[[1]],[[1]],[[1]]]]",
        "[[1],[1],[1]]", "[[[[1]],[[1]],[[1]]]]", "5", "null", '{"a": 1}', "[[[1,,2]],[[1,2,3]],[[1,2,3]]]",
        "[[[1],[2,3]],[[1],[2,3]],[[1],[2,3]]]", "[[[1]][[1]],[[1]]]", "[[[1]],,[[1]],[[1]]]", "[[[½]],[[1]],[[1]]]",
    ],
)  # fmt: skip
def test_it_agrees_with_json(text):
    whole = f'{{"img_data": {text}}}'.encode()
    expected, found = plainly(whole), read(whole)
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=400, deadline=None)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    separators=st.sampled_from(SPACINGS[:2]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([*"0123456789,[] .-e\n", ""])), max_size=3),
)
def test_damaged_texts_are_never_read_wrongly(size, separators, edits):
    text = json.dumps({"img_data": as_lists(image(*size, seed=3))}, separators=separators)
    for place, character in edits:
        index = int(place * (len(text) - 1))
        text = text[:index] + character + text[index + 1 :]
    expected, found = plainly(text.encode()), read(text.encode())
    assert (found is None) == (expected is None), text
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([[[1, 300]], [[1, 2]], [[1, 2]]], "img_data[0][0][1]: 300"),
        ([[[1, 2]], [[1, 2.5]], [[1, 2]]], "img_data[1][0][1]: 2.5"),
        ([[[1, 2]], [[1, 2]], [[1]]], "img_data[2][0]: 1 numbers"),
        ([[[1, 2]], [[1, 2]], [[1, 2], [3, 4]]], "img_data[2]: 2 rows"),
        ([[[1, 2]], [[1, 2]]], "img_data: 2 channels"),
        ([[[1, True]], [[1, 2]], [[1, 2]]], "img_data[0][0][1]: True"),
        ([[1], [2], [3]], "img_data[0][0]: 1;"),
        ([1, 2, 3], "img_data[0]: 1;"),
        ([1, 2], "img_data: 2 channels"),
        ([[[[1, 2]]], [[[1]]], [[[1]]]], "img_data[0][0][0]: [1, 2];"),
        ([[[1], 5], [[1], [1]], [[1], [1]]], "img_data[0][1]: 5;"),
        ([[[1]], "[[1]]", [[1]]], "img_data[1]: '[[1]]';"),
        ([[], [], []], "img_data[0]: 0 rows"),
        ([[[]], [[]], [[]]], "img_data[0][0]: []"),
        ("text", "img_data: 'text'"),
        (None, "img_data: missing"),
    ],
)
def test_errors_name_the_place(value, path):
    with pytest.raises(BadImage) as error:
        read_image(json.dumps({"img_data": value}).encode(), InputConfig())
    assert error.value.message.startswith(path)
    assert "from 0 to 255" in error.value.message


def test_a_wrong_value_of_a_large_image_is_named():
    planes = as_lists(image(600, 600))
    planes[1][500][7] = 256
    with pytest.raises(BadImage, match=r"img_data\[1\]\[500\]\[7\]: 256; expected three channels"):
        read_image(json.dumps({"img_data": planes}).encode(), InputConfig())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_are_read(encoding):
    pixels = image(5, 7)
    text = json.dumps({"\u315b [1]": "\u5d32[2]", "img_data": as_lists(pixels)}, ensure_ascii=False)
    np.testing.assert_array_equal(read_image(text.encode(encoding), InputConfig()), pixels)


def test_errors_name_the_place_in_the_text_that_was_sent():
    with pytest.raises(BadJson, match="line 2, column 31"):
        read_image(b'{"img_data":\n [[[1,2,3]],[[1,2,3]],[[4,5,6]}', InputConfig())


def test_no_text_takes_quadratic_time():
    """A string without an end, full of escaped quotes and brackets: each of them could start another search."""
    text = b'{"a":"' + b'\\"[' * 200_000
    start = time.process_time()
    with pytest.raises(BadJson):
        read_image(text, InputConfig())
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "text", [b"", b"img_data", b"[1]", b"\xff", b'{"img_data": [[[1]], [[1]], [[1]]]', b"[" * 100_000]
)
def test_what_is_not_json_is_said_to_be_that(text):
    with pytest.raises(BadJson):
        read_image(text, InputConfig())


def test_too_many_pixels_are_counted_before_they_are_read():
    with pytest.raises(ImageTooLarge, match="12 pixels; expected at most 11"):
        read_image(write_image(image(3, 4)), InputConfig(max_pixels=11))
    read_image(write_image(image(3, 4)), InputConfig(max_pixels=12))
