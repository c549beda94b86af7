"""How much memory a process takes for some work, whoever allocates it: Python, numpy, OpenCV or torch."""

from __future__ import annotations

import subprocess
import sys

from tests.support.distributions import ROOT

_MEASURE = """
from maskworks.freed_memory import keep_freed_memory

def _kilobytes(name):
    with open("/proc/self/status") as file:
        return int(file.read().partition(name + ":")[2].split()[0])

keep_freed_memory()  # as workers do
before = _kilobytes("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins anew
work()
print("peak", _kilobytes("VmHWM") - before)
"""


def peak_megabytes(code: str) -> float:
    """Most memory of a process of its own while it runs `work`, which this code defines, beyond that before."""
    done = subprocess.run(
        [sys.executable, "-c", code + _MEASURE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("peak ")[1]) / 1024
