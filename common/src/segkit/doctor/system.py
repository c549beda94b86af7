"""The parts of an installation that no model is needed for: versions, processor, GPU, allocator, cache."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cpu_operators.memory import keep_freed_memory
from segkit.checkpoints import cache_folder
from segkit.device import select_device, select_precision
from segkit.doctor.finding import Finding

_LIBRARIES = (
    "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "redis", "hiredis", "segment-anything",
)  # fmt: skip
# What was tested together; other pairs fail when they are imported, or later.
_PAIR = {"torch": "2.11", "torchvision": "0.26"}
_GIGABYTE = 1e9


def versions() -> Iterator[Finding]:
    """Python and the libraries; `segkit` and the packages of the models."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    own = sorted(d.name for d in metadata.distributions() if d.name == "segkit" or d.name.startswith("segkit-"))
    yield Finding("segkit", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in dict.fromkeys(own)))
    for name in _LIBRARIES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, "note", "not installed")
            continue
        tested = _PAIR.get(name)
        if tested is None or version.startswith(f"{tested}."):
            yield Finding(name, "ok", version)
        else:
            yield Finding(name, "note", f"{version}; tested is {tested}")


def device(name: str, precision: str) -> Iterator[Finding]:
    """The device, what it is able to do, and what it is left to do it with."""
    import torch

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


def allocator() -> Iterator[Finding]:
    """Which allocator the process has, and whether it can be told to keep what it frees."""
    try:
        maps = Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        maps = ""
    other = next((name for name in ("jemalloc", "tcmalloc", "mimalloc") if name in maps), None)
    if other is not None:
        yield Finding("allocator", "ok", other)
    elif keep_freed_memory():
        yield Finding("allocator", "ok", "glibc, told to keep freed memory")
    else:
        yield Finding("allocator", "note", "gives memory back after each image, which costs time on a CPU")


def cache() -> Iterator[Finding]:
    """The folder that downloads go to."""
    folder = cache_folder("segkit").parent
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        text = f"no permission to write in {existing}; set XDG_CACHE_HOME to a folder of your own, or map one"
        yield Finding("cache", "problem", text)
        return
    free = shutil.disk_usage(existing).free / _GIGABYTE
    yield Finding("cache", "ok" if free > 1 else "note", f"{folder}, {free:.0f} GB free")


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
