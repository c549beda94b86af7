"""Memory that the allocator keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskworks.freed_memory import keep_freed_memory

PAGE_FAULTS = """
import resource, sys
from maskworks.freed_memory import keep_freed_memory
import numpy as np
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(20_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(20_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an option of glibc")
def test_freed_memory_is_used_again():
    def faults(choice):
        command = [sys.executable, "-c", PAGE_FAULTS, choice]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") * 10 < faults("return")


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("maskworks.freed_memory.ctypes.CDLL", lambda _: Path())  # a library without mallopt
    assert keep_freed_memory() is False
