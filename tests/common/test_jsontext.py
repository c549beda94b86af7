"""JSON text in and out."""

import json
import math

import numpy as np
import pytest

from maskworks.errors import BadJson
from maskworks.wire.jsontext import MOST_MARKS, read_object, write
from tests.support.peak_memory import peak_memory


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "thing: empty; expected a JSON object"),
        (b"  \r\n\t", "thing: empty"),
        (b"[]", "thing: JSON of type array; expected an object in curly braces"),
        (b'"a"', "of type string"),
        (b"1", "of type number"),
        (b"1.5", "of type number"),
        (b"NaN", "of type number"),
        (b"1" + b"0" * 30, "of type number"),
        (b"true", "of type boolean"),
        (b"null", "of type null"),
        (b'{"a": 1,\n "b": }', "thing: not JSON: .* at line 2, column 7; expected a JSON object"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON: Extra data"),
        (b"\x80abc", "thing: not text: byte 0 is not utf-8"),
        (b'{"a": "\xff"}', "thing: not text: byte 7 is not utf-8"),
        (b"\xff\xfe{", "thing: not"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "thing: .*digits.*; expected a JSON object"),
        (b'{"a": ' * 50_000 + b"1" + b"}" * 50_000, "thing: nested too deeply"),
        (b"[" * 1_000_000, "thing: "),
        (b"\x89PNG\r\n\x1a\n\x00", "thing: not"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_object_is_refused(text, problem):
    with pytest.raises(BadJson, match=problem):
        read_object(text, "thing")


def test_values_that_json_has_no_word_for_are_read():
    value = read_object(b'{"a": NaN, "b": [Infinity, -Infinity]}', "thing")
    assert math.isnan(value["a"])
    assert value["b"] == [math.inf, -math.inf]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_unicode_is_read(encoding):
    text = '{"name": "Übergröße \N{GRINNING FACE}"}'
    assert read_object(text.encode(encoding), "thing") == json.loads(text)


def test_written_text_is_compact_utf8():
    assert write({"a": [1, 2.5, None, True], "ü": "ß"}) == '{"a":[1,2.5,null,true],"ü":"ß"}'.encode()


HARD = {
    "arrays": ({"a": np.array([[1, 2], [3, 4]], np.int32)}, {"a": [[1, 2], [3, 4]]}),
    "views": ({"a": np.arange(6).reshape(2, 3).T}, {"a": [[0, 3], [1, 4], [2, 5]]}),
    "numbers of numpy": ({"a": np.float32(0.5), "b": np.int64(3)}, {"a": 0.5, "b": 3}),
    "nan": ({"a": math.nan, "b": [math.inf, -math.inf]}, {"a": None, "b": [None, None]}),
    "nan in arrays": ({"a": np.array([1.5, math.nan])}, {"a": [1.5, None]}),
    "large numbers": ({"a": 10**30}, {"a": 10**30}),
    "half of a pair": ({"a": "x\ud800"}, {"a": "x\ud800"}),
    "bytes of file names": ({"a": b"\xff.jpg".decode("utf-8", "surrogateescape")}, {"a": "\udcff.jpg"}),
    "all at once": ({"a": 10**30, "b": math.nan, "c": np.arange(2), "d": "\ud800"},
                    {"a": 10**30, "b": None, "c": [0, 1], "d": "\ud800"}),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), HARD.values(), ids=HARD)
def test_what_is_written_is_always_strict_json(value, expected):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    assert json.loads(write(value).decode("utf-8"), parse_constant=refuse) == expected


def test_deep_values_are_written():
    text = b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"
    assert write(json.loads(text)) == text


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"b":', b"}")])
def test_the_deepest_text_that_is_read(opening, closing):
    def nested(depth):
        return b'{"a":' + opening * depth + b"0" + closing * depth + b"}"

    assert write(read_object(nested(199), "thing")) == nested(199)
    for depth in (200, 300, 990, 1500):
        with pytest.raises(BadJson, match="at most 200 levels"):
            read_object(nested(depth), "thing")


def test_many_brackets_side_by_side_are_not_deep():
    text = b'{"a":[' + b",".join([b"[1]"] * 1000) + b"]}"
    assert write(read_object(text, "thing")) == text


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"1,", b'"",', b'{"a":1},'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_too_many_values_are_refused_without_reading_them(unit, encoding):
    text = (b'{"a":[' + unit * (MOST_MARKS + 1) + b"1]}").decode().encode(encoding)
    with (
        peak_memory() as peak,
        pytest.raises(BadJson, match="thing: too many values; expected at most 500000 brackets"),
    ):
        read_object(text, "thing", MOST_MARKS)
    assert peak() < 2_000_000


def test_the_limit_of_values_is_exact():
    text = b'{"image":"' + b"abcd" * MOST_MARKS + b'","a":[[1,[2],{"c":3}],4]}'
    assert read_object(text, "thing", 9)["a"] == [[1, [2], {"c": 3}], 4]
    with pytest.raises(BadJson, match="at most 8 brackets and commas"):
        read_object(text, "thing", 8)


def test_texts_that_we_trust_may_have_any_number_of_values():
    text = b'{"a":[' + b"1," * MOST_MARKS + b"1]}"
    assert len(read_object(text, "thing")["a"]) == MOST_MARKS + 1
