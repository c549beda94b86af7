from __future__ import annotations

import pytest

from maskworks.errors import NotAcceptable
from maskworks.transports.http.negotiation import choose, takes_gzip

OFFERED = ("application/json", "application/vnd.opex+json", "image/png")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("image/png, */*", "image/png"),
        ("image/png;q=0.5, application/json;q=0.4", "image/png"),
        ("image/png;q=0.5, */*", "application/json"),
        ("application/json;q=0, */*", "application/vnd.opex+json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/*;q=0.2, image/png;q=0.1", "application/json"),
        ("image/png;q=nonsense", "image/png"),
        ("application/json; charset=utf-8", "application/json"),
        (",,;", "application/json"),
    ],
)
def test_the_best_liked_type_is_chosen(accept, chosen):
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", "*/*;q=0", "application/jsonx"])
def test_what_is_not_taken_is_not_sent(accept):
    with pytest.raises(NotAcceptable, match="application/json, application/vnd"):
        choose(accept, OFFERED)


@pytest.mark.parametrize(
    ("header", "taken"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.3", True), ("gzip;q=0, *", False), ("*", True), ("identity", False)],
)
def test_accept_encoding_decides_about_gzip(header, taken):
    assert takes_gzip(header) == taken
