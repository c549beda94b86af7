"""The distributions of this repository, and an index of packages that is a folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Extras that neither commands nor images bring, because of their licence.
ON_REQUEST = frozenset({"pillow-heif"})
PACKAGES = ("common/maskworks", "common/maskworks_torch", "dextr", "sam", "tensormask", "mmdetection")


def normal(name: str) -> str:
    """A name of a distribution as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project(folder: str) -> dict[str, Any]:
    """The table [project] of a folder's pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return found


OURS = {project(folder)["name"]: folder for folder in PACKAGES}
# All pinned versions by normal name.
TESTED = {
    normal(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
}


@dataclass(frozen=True)
class Requirement:
    """A distribution that is asked for, as `redis[hiredis]>=8.0,<8.2`."""

    name: str
    extras: frozenset[str]
    versions: str

    @classmethod
    def read(cls, text: str) -> Requirement:
        found = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?([<>=!~].*)?", text.replace(" ", ""))
        assert found is not None, text
        return cls(normal(found[1]), frozenset(filter(None, (found[2] or "").split(","))), found[3] or "")


def requirements(folder: str, extras: bool = True) -> list[Requirement]:
    """What a distribution asks for; with `extras` also those of all its extras."""
    table = project(folder)
    groups = [table["dependencies"], *(table.get("optional-dependencies", {}).values() if extras else ())]
    return [Requirement.read(text) for group in groups for text in group]


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command without this machine's settings of pip."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = {**others, "PIP_CONFIG_FILE": os.devnull, **variables}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def copied_sources(folder: Path) -> Path:
    """A copy of what our wheels are built of: setuptools builds beside the sources, and there one test at a time."""
    leftovers = shutil.ignore_patterns("build", "__pycache__", "*.egg-info")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=leftovers)
    for file in ("Makefile", "docker/images.mk", "constraints.txt", "requirements-dev.txt"):
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


def program(file: Path, script: str) -> None:
    """A program that stands for another one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def offer(index: Path, name: str, version: str, needs: str = "", extras: tuple[str, ...] = ()) -> None:
    """Puts a package with one empty module on an index."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"{stem}.dist-info"
    folder = index / normal(name)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {needs}"] * bool(needs) + [f"Provides-Extra: {extra}" for extra in extras]
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}.py", "")
        archive.writestr(f"{about}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    files = sorted(path.name for path in folder.glob("*.whl"))
    (folder / "index.html").write_text("".join(f'<a href="{file}">{file}</a>\n' for file in files))
