"""What `--precision auto` means on the CPU, in every Python process that has this folder in its PYTHONPATH.

Programs look into /proc/cpuinfo for bf16; nothing else about the processor is changed. A CPU without bf16 computes in
it all the same, slowly.
"""

import os
import pathlib
import re
from typing import Any

VARIABLE = "MASKWORKS_TESTS_PRECISION"
_CPUINFO = pathlib.Path("/proc/cpuinfo")
_read_text = pathlib.Path.read_text


def _forced(path: pathlib.Path, *args: Any, **kwargs: Any) -> str:
    text = _read_text(path, *args, **kwargs)
    if path != _CPUINFO:
        return text
    text = re.sub(r"\b(avx512_bf16|amx_bf16|bf16)\b", "", text)
    return f"{text}\nflags\t\t: bf16\n" if os.environ[VARIABLE] == "bf16" else text


if os.environ.get(VARIABLE):
    pathlib.Path.read_text = _forced  # type: ignore[method-assign]
