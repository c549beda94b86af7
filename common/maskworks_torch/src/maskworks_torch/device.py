"""Where a model runs and in which precision. torch is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from maskworks.errors import DeviceError

if TYPE_CHECKING:
    import torch

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]


def select_both(device: str, precision: str) -> tuple[str, Precision]:
    """The device and the precision that flags ask for.

    Raises:
        DeviceError: the device or the precision is not usable.
    """
    chosen = select_device(device)
    return chosen, select_precision(precision, chosen)


def select_device(name: str) -> str:
    """A device of torch that works here: the name itself, or for `auto` the first GPU, else the CPU.

    Every name of the CPU, as `cpu:0`, becomes `cpu`.

    Raises:
        DeviceError: no such device, or it cannot compute with this build of torch.
    """
    import torch

    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(name)
    except RuntimeError:  # with a list of twenty kinds
        raise DeviceError(f"--device {name}: no such device; expected auto, cpu or cuda:N") from None
    try:
        (torch.ones(1, device=name) + 1).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(f"--device {name}: not usable here: {reason}; expected auto, cpu or cuda:N") from None
    return "cpu" if torch.device(name).type == "cpu" else name


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


def dtype_of(precision: str) -> torch.dtype:
    """The type of torch that a precision computes in.

    Raises:
        ValueError: an unknown precision.
    """
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in types:
        raise ValueError(f"the precision is {precision!r}; expected one of {', '.join(types)}")
    return types[precision]


def _has_bf16(device: str) -> bool:
    kind = device.partition(":")[0]
    if kind == "cuda":
        import torch

        with torch.cuda.device(device):  # it is the current one that torch looks at
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False
    try:
        words = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
