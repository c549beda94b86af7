from __future__ import annotations

import os

import httpx
import pytest

from maskworks.errors import BadImage
from maskworks.transports.http.multipart import MOST_PARTS, read_parts


def encoded(parts) -> tuple[bytes, str]:
    request = httpx.Request("POST", "http://x", files=parts)
    return request.read(), request.headers["content-type"]


def test_parts_come_back_as_they_were_sent():
    image = os.urandom(300_000) + b"\r\n--\r\n"
    body, content_type = encoded({"image": ("ä.png", image), "prompt": (None, b'{"points": []}'), "empty": (None, b"")})
    assert read_parts(body, content_type) == {"image": image, "prompt": b'{"points": []}', "empty": b""}
    assert read_parts(bytearray(body), content_type)["image"] == image


@pytest.mark.parametrize("name", ["写真.jpg", "łąka\x85.jpg", "😀.jpg", "e\u0301.jpg"])
def test_names_in_utf_8(name):
    body = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\nabc\r\n'.encode()
    own = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\ndef\r\n--x--\r\n'.encode()
    assert read_parts(body + own, "multipart/form-data; boundary=x") == {"image": b"abc", name: b"def"}


def test_headers_in_any_letter_case():
    body = b'--x\r\nCONTENT-DISPOSITION: form-data; NAME="image"\r\nX-Other: 1\r\n\r\nabc\r\n--x--\r\n'
    assert read_parts(body, 'Multipart/Form-Data; Boundary="x"') == {"image": b"abc"}


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"", "multipart/form-data", "no boundary"),
        (b"", "multipart/form-data; boundary=x", "cut off"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nabc', "multipart/form-data; boundary=x", "cut off"),
        (b"nothing of the kind", "multipart/form-data; boundary=x", "multipart/form-data"),
        (b"--x\r\n\r\nabc\r\n--x--\r\n", "multipart/form-data; boundary=x", "without a name"),
        (b"--x\r\nbroken header\r\n\r\nabc\r\n--x--\r\n", "multipart/form-data; boundary=x", "multipart/form-data"),
    ],
)
def test_broken_bodies_are_named(body, content_type, said):
    with pytest.raises(BadImage, match=said):
        read_parts(body, content_type)


def test_two_parts_of_one_name_and_too_many_parts():
    with pytest.raises(BadImage, match="two parts named 'a'"):
        read_parts(*encoded([("a", (None, b"1")), ("a", (None, b"2"))]))
    with pytest.raises(BadImage, match="more than"):
        read_parts(*encoded({str(number): (None, b"1") for number in range(MOST_PARTS + 1)}))


def test_every_cut_is_an_error():
    body, content_type = encoded({"image": ("a.png", b"abc"), "prompt": (None, b"{}")})
    for length in range(len(body) - 4):
        with pytest.raises(BadImage):
            read_parts(body[:length], content_type)
