"""The parts of an installation that no model is needed for: versions, processor, GPU, allocator, cache."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from maskworks.cache import cache_folder
from maskworks.commands.doctor.finding import Finding
from maskworks.freed_memory import keep_freed_memory

_LIBRARIES = (
    "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "redis", "hiredis", "starlette", "uvicorn",
    "httptools", "segment-anything",
)  # fmt: skip
# What was tested together; other pairs fail when they are imported, or later.
_PAIR = {"torch": "2.11", "torchvision": "0.26"}
_GIGABYTE = 1e9


def versions() -> Iterator[Finding]:
    """Python and the libraries; `maskworks` and the packages of the models."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield _own_versions()
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


def _own_versions() -> Finding:
    """The distributions of this project, which belong together in one version."""
    found = [d.name for d in metadata.distributions() if d.name == "maskworks" or d.name.startswith("maskworks-")]
    own = {name: metadata.version(name) for name in sorted(found)}
    text = ", ".join(f"{name} {version}" for name, version in own.items())
    if len(set(own.values())) > 1:
        return Finding("maskworks", "problem", f"{text}: different versions; install all of them again, from one place")
    return Finding("maskworks", "ok", text)


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
    folder = cache_folder("maskworks").parent
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        text = f"no permission to write in {existing}; set XDG_CACHE_HOME to a folder of your own, or map one"
        yield Finding("cache", "problem", text)
        return
    free = shutil.disk_usage(existing).free / _GIGABYTE
    yield Finding("cache", "ok" if free > 1 else "note", f"{folder}, {free:.0f} GB free")
