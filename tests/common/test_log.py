from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, os
from maskworks import log
from maskworks.config import LogConfig
log.set_up(LogConfig())
{extra}
logging.getLogger("maskworks.test").warning("written nowhere")
print("still there", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("extra", ["", "import tqdm"])
def test_a_log_that_cannot_be_written_ends_nothing(extra):
    with Path("/dev/full").open("w") as full:
        program = [sys.executable, "-c", PROGRAM.format(extra=extra)]
        done = subprocess.run(program, check=True, stdout=subprocess.PIPE, stderr=full, text=True, timeout=60)
    assert done.stdout == "still there\n"
