"""Threads that each work alone: everything is done, errors come through, and torch's own threads stay as they were."""

from __future__ import annotations

import threading

import pytest
import torch

from maskworks_torch.cpu_operators.threads import each
from tests.support.torch_threads import torch_threads


@pytest.fixture(params=[1, 3])
def threads(request):
    with torch_threads(request.param):
        yield request.param


def test_every_piece_is_done_with_one_thread_for_each(threads):
    done, inner = [], set()

    def work(piece):
        done.append(piece)
        inner.add(torch.get_num_threads())

    each(work, range(100))
    assert sorted(done) == list(range(100))
    assert inner == {1}
    assert torch.get_num_threads() == threads


def test_a_single_piece_has_all_threads(threads):
    seen = []
    each(lambda piece: seen.append(torch.get_num_threads()), [0])
    assert seen == [threads]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_no_piece_has_gradients_and_the_caller_keeps_its_mode(threads, mode):
    seen = set()
    with mode():
        each(lambda piece: seen.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled())), range(10))
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)
    assert seen == {(False, mode is torch.inference_mode)}


def test_threads_that_come_later_have_as_many_as_before(threads):
    each(lambda piece: None, range(10))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [threads]


def test_the_first_error_comes_through_and_the_threads_live_on(threads):
    def work(piece):
        if piece == 3:
            raise ZeroDivisionError(piece)

    with pytest.raises(ZeroDivisionError):
        each(work, range(10))
    done = []
    each(done.append, range(8))
    assert sorted(done) == list(range(8))
