"""Base64 text, beside the standard library's reader."""

from __future__ import annotations

import base64
import binascii
import re

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


@given(st.text("ABCDwxyz0189+/=-_ \n\té", max_size=24))
def test_whatever_the_text_it_is_read_as_by_the_standard_library(text):
    try:
        wanted = base64.b64decode(text)
    except ValueError as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            base64text.decode(text)
    else:
        assert base64text.decode(text) == wanted


def test_what_is_not_base64_is_an_error():
    with pytest.raises(binascii.Error, match="padding"):
        base64text.decode("AAA")
