"""What importing a library loads: no server, no client of one, and nothing that only commands need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.distributions import ROOT

TORCH = ROOT / "common" / "maskworks_torch" / "src" / "maskworks_torch"

SERVERS = ("redis", "starlette", "uvicorn")
SHARED = [
    ".".join(("maskworks_torch", *path.relative_to(TORCH).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(TORCH.rglob("*.py"))
]


def loaded(*names: str) -> set[str]:
    """The top names of all modules that Python has loaded after importing some."""
    program = f"import sys, {', '.join(names)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("names", [["dextr"], ["dextr.model"], ["tensormask"], ["tensormask.model"], SHARED], ids=str)
def test_libraries_load_no_server(names):
    found = loaded(*names)
    assert names[0].partition(".")[0] in found
    assert not found & set(SERVERS)


def test_devices_and_checkpoints_wait_with_torch():
    """Commands answer --help before torch is imported, which takes seconds."""
    names = [f"maskworks_torch.{name}" for name in ("device", "checkpoints", "download", "numpy_stand_ins")]
    assert not loaded(*names) & {"torch", *SERVERS}
