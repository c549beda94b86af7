"""Places for decodes: each requester gets its share of them, in the order of arrival."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from maskworks.images.places import Places
from maskworks.images.reader import InProcessDecoder
from maskworks.wire.request import read_image_message, read_message, read_pair
from tests.support.jobs import a_job
from tests.support.samples import PROMPT, encoded
from tests.support.workplace import wait_until


class Visit:
    """Somebody who takes a place and stays until told to go."""

    def __init__(self, places, requester, threads, order):
        self.go = threading.Event()
        self._order, self._places, self.requester = order, places, requester
        before = len(places._waiting) + len(order)
        self.done = threads.submit(self._stay)
        wait_until(lambda: len(places._waiting) + len(order) > before)

    def _stay(self):
        with self._places.place(self.requester, lambda: None):
            self._order.append(self)
            self.go.wait(60)


def order_of(requesters, number=2):
    """Who gets one of so many places after whom, if each one leaves once the next one has to wait for nothing else."""
    places, order = Places(number), []
    with ThreadPoolExecutor(len(requesters)) as threads:
        visits = [Visit(places, requester, threads, order) for requester in requesters]
        for index in range(len(visits)):
            wait_until(lambda index=index: len(order) > index)
            wait_until(lambda index=index: len(order) >= min(len(visits), index + number))
            order[index].go.set()
            order[index].done.result(60)
    return "".join(visit.requester for visit in order)


@pytest.mark.parametrize(
    ("came", "went"),
    [("aaaaaab", "aabaaaa"), ("aaaabbbb", "aabababb"), ("abcd", "abcd"), ("aaaa", "aaaa")],
)
def test_one_that_asks_for_much_waits_for_the_others(came, went):
    assert order_of(came) == went


def test_who_gives_up_takes_no_place():
    places = Places(1)
    assert places.take("a")
    assert not places.take("b")

    def give_up():
        raise TimeoutError

    with pytest.raises(TimeoutError), places.place("b", give_up):
        pass
    places.leave("a")
    assert places.take("b")


class Noting(InProcessDecoder):
    """Notes for whom it decodes."""

    def decode(self, data, requester=None):
        requesters.append(requester)
        return super().decode(data)


requesters: list[str | None] = []


def test_requesters_are_known_by_connection_or_by_where_they_want_their_answer():
    requesters.clear()
    image = encoded()
    message = json.dumps({"image": base64.b64encode(image).decode(), "reply_to": "mine", **json.loads(PROMPT)}).encode()
    promptless = json.dumps({"image": base64.b64encode(image).decode(), "reply_to": "mine"}).encode()
    read_pair(a_job("a", image, PROMPT, requester="connection"), Noting())
    read_pair(a_job("a", image, None, requester="connection"), Noting())
    read_message(a_job("a", message), Noting())
    read_image_message(a_job("a", promptless), Noting())
    read_message(a_job("a", message, requester="connection"), Noting())
    assert requesters == ["connection", "connection", "mine", "mine", "connection"]
