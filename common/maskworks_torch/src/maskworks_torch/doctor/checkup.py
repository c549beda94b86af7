"""The device: what it is able to do, and in which precision models work on it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from maskworks.commands.doctor.finding import Finding
from maskworks_torch.device import select_device, select_precision

_GIGABYTE = 1e9


def checkup(name: str, precision: str) -> Iterator[Finding]:
    """The device, what it is able to do, and what it is left to do it with."""
    chosen = select_device(name)
    if chosen == "cpu":
        able = torch.backends.cpu.get_cpu_capability()
        threads = f"{torch.get_num_threads()} of {os.cpu_count()} processors"
        yield Finding("device", "ok", f"cpu, {_processor()}, {able}, {threads}, {_memory():.0f} GB")
        if torch.cuda.is_available():
            yield Finding("gpu", "note", f"{torch.cuda.get_device_name()} is there and not used")
    else:
        properties = torch.cuda.get_device_properties(chosen)
        memory = properties.total_memory / _GIGABYTE
        yield Finding("device", "ok", f"{chosen}, {properties.name}, {memory:.0f} GB, CUDA {torch.version.cuda}")
        yield architecture(f"sm_{properties.major}{properties.minor}", torch.cuda.get_arch_list())
    yield Finding("precision", "ok", f"{select_precision(precision, chosen)} for --precision {precision}")


def architecture(own: str, built_for: list[str]) -> Finding:
    """Code for a GPU runs on the same major generation from its own minor one upwards, and as PTX on all later ones."""
    if own in built_for:
        return Finding("architecture", "ok", f"{own}, which this torch is built for")
    older = [arch for arch in built_for if arch.startswith("sm_") and arch[3:-1] == own[3:-1] and arch <= own]
    if older or any(arch.startswith("compute_") and int(arch[8:]) <= int(own[3:]) for arch in built_for):
        return Finding("architecture", "ok", f"{own}, which runs code for {', '.join(older) or 'older ones'}")
    text = f"{own}, but this torch is built for {', '.join(built_for)}; install one that is built for it"
    return Finding("architecture", "problem", text)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE
