"""Threads that each work alone: everything is done, errors come through, and torch's own threads stay as they were."""

from __future__ import annotations

import threading

import pytest
import torch

from segkit_sam.encoder import ImageEncoder
from segkit_sam.workers import each
from tests.models.sam.models import random_sam


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_piece_is_done_with_one_thread_for_each(threads):
    done, inner = [], set()

    def work(piece):
        done.append(piece)
        inner.add(torch.get_num_threads())

    each(work, range(100))
    assert sorted(done) == list(range(100))
    assert inner == {1}
    assert torch.get_num_threads() == threads


def test_threads_that_come_later_have_as_many_as_before(threads):
    each(lambda piece: None, range(10))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [threads]


def test_the_first_error_comes_through(threads):
    def work(piece):
        if piece == 3:
            raise ZeroDivisionError(piece)

    with pytest.raises(ZeroDivisionError):
        each(work, range(10))


def test_an_encoder_gives_the_same_with_any_number_of_threads(threads):
    sam = random_sam()
    images = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        expected = sam.image_encoder(images)
    torch.testing.assert_close(
        ImageEncoder(sam.image_encoder, "cpu", torch.float32)(images), expected, rtol=0, atol=2e-5
    )
