"""Writes the lock files of the images, with the hashes of all packages: `make lock`.

    torch.txt        torch and what comes with it for GPUs
    shared.txt       what all images share beside torch
    MODEL.txt        what only this image needs
    openmmlab.txt    the sources of MMDetection, what they are built with; nvcc.txt: the compiler for GPUs

No version is chosen here: they stand in constraints.txt, in mmdetection/install.sh and in what torch asks for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "docker" / "lock"
HEAD = "# Written by `make lock`: do not edit.\n"
WITH_TORCH = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
OURS = ("maskworks", "maskworks-torch", "maskworks-dextr", "maskworks-sam", "maskworks-tensormask", "maskworks-mmdet")
CORE = ("./common/maskworks[commands]", "./common/maskworks_torch")  # in all images
PYTHON = "3.11"  # Debian bookworm's

Packages = dict[str, str]  # the lines of a package in a lock file, by its name


def main() -> None:
    """Writes all lock files."""
    shared = resolve(*CORE, "torch", "torchvision", "pip")
    torch = {name: lines for name, lines in shared.items() if WITH_TORCH.fullmatch(name)}
    write("torch", torch)
    write("shared", {name: lines for name, lines in shared.items() if name not in torch})
    for model in ("dextr", "sam", "tensormask"):
        write(model, without(resolve(*CORE, f"./{model}[commands]"), shared))

    requirements = (ROOT / "mmdetection" / "requirements.txt").read_text().splitlines()
    imported = [line for line in requirements if not line.startswith("#")]
    needed = without(resolve(*CORE, "./mmdetection[commands]", *imported), shared)
    write("mmdetection", {**needed, **resolve(*variable("others"), flags=["--no-deps"])})
    sources = resolve(*variable("built"), flags=["--no-deps"])
    write("openmmlab", {**sources, **resolve(*variable("build_tools"))})
    cuda = re.search(r"cuda-toolkit==(\S+)", torch["cuda-toolkit"])
    assert cuda is not None
    compiler = resolve(f"cuda-toolkit[nvcc,crt,nvvm,cccl]=={cuda[1]}")
    write("nvcc", {name: compiler[name] for name in compiler.keys() - shared.keys()})


def resolve(*requirements: str, flags: list[str] | None = None) -> Packages:
    """What has to be installed for these requirements, in the versions of constraints.txt."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        sys.exit("uv is missing: pip install uv")
    command = [uv, "pip", "compile", "-", "-q", "-c", "constraints.txt", "--universal", "--python-version", PYTHON]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-package", "colorama", *(flags or [])]
    for name in OURS:
        command += ["--no-emit-package", name]
    text = subprocess.run(
        command, input="\n".join(requirements), stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    ).stdout
    blocks = re.findall(r"^\w.*(?:\n +--hash.*)*", text, flags=re.MULTILINE)
    packages: Packages = {}
    for block in blocks:  # a package stands there twice if its newest version is not for all versions of Python
        name = block.partition("==")[0]
        packages[name] = f"{packages[name]}\n{block}" if name in packages else block
    return packages


def without(packages: Packages, others: Packages) -> Packages:
    """The packages that are not among the others."""
    for name in packages.keys() & others.keys():
        assert packages[name] == others[name], f"{name} would be there in two versions"
    return {name: lines for name, lines in packages.items() if name not in others}


def variable(name: str) -> list[str]:
    """The words of a variable of mmdetection/install.sh."""
    found = re.search(rf'^{name}="(.*)"$', (ROOT / "mmdetection" / "install.sh").read_text(), flags=re.MULTILINE)
    assert found is not None, f"mmdetection/install.sh has no line {name}="
    return found[1].split()


def write(name: str, packages: Packages) -> None:
    """Writes a lock file, the packages in alphabetic order."""
    LOCK.mkdir(exist_ok=True)
    text = "".join(f"{packages[key]}\n" for key in sorted(packages))
    (LOCK / f"{name}.txt").write_text(HEAD + text)
    sys.stdout.write(f"docker/lock/{name}.txt: {len(packages)} packages\n")


if __name__ == "__main__":
    main()
