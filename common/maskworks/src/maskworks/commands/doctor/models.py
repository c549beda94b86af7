"""The installed models: each package names its own check under the entry point `maskworks.checkups`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from maskworks.cache import sha256
from maskworks.commands.doctor.finding import Finding, guarded

GROUP = "maskworks.checkups"


def models(device: str, precision: str) -> Iterator[Finding]:
    """What the installed models find out about themselves; see `maskworks.commands.doctor.finding.Checkup`."""
    found = sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name)
    if not found:
        yield Finding("models", "problem", "none is installed; install maskworks-dextr, maskworks-sam, ...")
    for entry in found:
        yield from guarded(entry.name, lambda entry=entry: entry.load()(device, precision))  # type: ignore[misc]


def weights(paths: Sequence[Path]) -> Iterator[Finding]:
    """Size and SHA-256 of model files, to compare with where they come from."""
    for path in paths:
        if path.is_file():
            yield Finding(path.name, "ok", f"{path.stat().st_size / 1e6:.1f} MB, sha256 {sha256(path)}")
        else:
            yield Finding(path.name, "problem", f"{path} is no file")
