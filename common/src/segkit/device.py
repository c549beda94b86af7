"""Where a model runs and in which precision; how the process keeps its memory. torch is imported when it is needed."""

from __future__ import annotations

import ctypes
import logging
import sys
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from segkit.errors import DeviceError

log = logging.getLogger(__name__)

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from malloc.h of glibc


def ready_device(device: str, precision: str) -> tuple[str, Precision]:
    """The device and the precision that flags ask for, with this process made ready for inference there.

    Raises:
        DeviceError: the device or the precision is not usable.
    """
    chosen = select_device(device)
    kind = select_precision(precision, chosen)
    if chosen == "cpu":
        keep_freed_memory()
    return chosen, kind


def select_device(name: str) -> str:
    """A device of torch that works here: the name itself, or for `auto` the first GPU, else the CPU.

    Raises:
        DeviceError: no such device, or it cannot compute with this build of torch.
    """
    import torch

    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        (torch.ones(1, device=name) + 1).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(f"--device {name}: not usable here: {reason}; expected auto, cpu or cuda:N") from None
    return name


def select_precision(name: str, device: str) -> Precision:
    """`fp32`, `bf16` or `fp16`: the name itself, or for `auto` bf16 where the hardware computes in it, else fp32.

    Raises:
        DeviceError: an unknown name, or fp16 on a CPU, which torch does not compute fast or completely.
    """
    if name == "fp16" and device == "cpu":
        raise DeviceError("--precision fp16: not for the CPU; expected auto, fp32 or bf16")
    if name == "auto":
        return "bf16" if _has_bf16(device) else "fp32"
    if name not in get_args(Precision):
        raise DeviceError(f"--precision {name}: unknown; expected auto, {', '.join(get_args(Precision))}")
    return cast("Precision", name)


def keep_freed_memory() -> bool:
    """Lets this process keep memory that it frees, instead of asking the kernel for the same pages at every step.

    A network allocates and frees hundreds of megabytes for each image; returning them costs more time than many of its
    layers. This sets two options of glibc's allocator; with other allocators it does nothing and returns False.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def _has_bf16(device: str) -> bool:
    if device != "cpu":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        words = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
