from __future__ import annotations

import os
import signal

import pytest

from maskworks.shutdown import Shutdown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_one_has_its_way_again(number):
    before = signal.getsignal(number)
    with Shutdown() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        assert [signal.getsignal(each) for each in Shutdown.signals] == [signal.SIG_DFL] * 2
    assert signal.getsignal(number) == before
