"""Base64 text, beside the standard library's reader."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskworks.wire import base64text


@given(st.binary(max_size=200))
def test_round_trip(data):
    assert base64text.encode(data) == base64.b64encode(data).decode()
    assert base64text.decode(base64text.encode(data)) == data


@given(st.binary(max_size=200))
def test_line_breaks_are_passed_over(data):
    assert base64text.decode(base64.encodebytes(data).decode()) == data


@given(st.binary(max_size=200), st.integers(1, 80), st.sampled_from(["\n", "\r\n", "\r\n\t", "\t"]))
def test_all_ways_to_write_it(data, width, newline):
    """The alphabet that is safe in URLs, without `=`, in a data URL, in lines, and all of these together."""
    for plain in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        for text in (plain, plain.rstrip("=")):
            lines = newline.join(text[start : start + width] for start in range(0, len(text), width))
            for written in (text, lines, f"data:image/png;base64,{text}", f"Data:;charset=x;BASE64,{lines}{newline}"):
                assert base64text.decode(written) == data
    assert base64text.decode("data:image/png;base64," + quote(base64.b64encode(data))) == data


@given(st.text("ABCDwxyz0189+/=-_ \n\té", max_size=24))
def test_nothing_is_guessed(text):
    """What is read is what the standard library reads without passing over anything, or it is an error."""
    try:
        found = base64text.decode(text)
    except ValueError:
        return
    digits = re.sub(r"[\n\t]", "", text).translate(str.maketrans("-_", "+/")).rstrip("=")
    assert found == base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)


@given(st.binary(min_size=3, max_size=200))
def test_a_lost_plus_is_named(data):
    """Forms and URLs make a space of it. Passing over it gives other bytes, sometimes even another image."""
    text = base64.b64encode(b"\xfb\xef\xbe" + data).decode()
    assert "+" in text
    with pytest.raises(ValueError, match=f"a space at character {text.index('+')}, where a '\\+' was lost"):
        base64text.decode(text.replace("+", " "))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("AAAAA", "cut off"),
        ("AA==AAAA", "'=' at character 2, before the end"),
        ("AAAA%3D", "'%' at character 4 is not in its alphabet"),
        ("AAé", "character 2 is not in its alphabet"),
        ("AA\0A", "is not in its alphabet"),
        ("data:image/png,AAAA", "without ';base64'"),
        ("photo.jpg", "looks like a path or URL, 'photo.jpg'"),
        ("/home/me/photo.jpeg", "looks like a path or URL"),
        ("C:\\photos\\cup.TIF", "looks like a path or URL"),
        ("https://example.com/cup?id=1", "looks like a path or URL"),
        ("s3://bucket/cup", "looks like a path or URL"),
    ],
)
def test_what_is_not_base64_is_an_error(text, problem):
    with pytest.raises(ValueError, match=problem):
        base64text.decode(text)
