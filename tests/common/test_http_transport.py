from __future__ import annotations

import asyncio
import gc
import weakref
from concurrent.futures import Future

import pytest

from maskworks.errors import Overloaded
from maskworks.transports.http.transport import HttpTransport
from maskworks.types import Outcome
from tests.support.jobs import a_job


def waiting_job():
    return a_job("1", b"body", receipt=Future())


def test_an_answer_is_forgotten_once_it_is_given():
    """Not when the garbage collector comes by: answers may have many megabytes."""
    transport = HttpTransport()

    async def ask():
        waiting = asyncio.wrap_future(transport.submit(waiting_job()))
        (taken,) = transport.receive(1, 0)
        transport.deliver(taken, Outcome(parts={"reply": b"yes"}))
        kept.append(weakref.ref(taken.receipt))
        return (await waiting).parts["reply"]

    kept = []
    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(ask()) == b"yes"
        assert kept[0]() is None
    finally:
        gc.enable()
    assert transport.backlog == 0


def test_who_gives_up_leaves_the_queue():
    transport = HttpTransport()
    first, second = (transport.submit(waiting_job()) for _ in range(2))
    first.cancel()
    assert transport.backlog == 1
    transport.close()
    assert isinstance(second.result().error, Overloaded)
    assert transport.exhausted
    with pytest.raises(Overloaded):
        transport.submit(waiting_job())
