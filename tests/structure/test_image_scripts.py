"""The scripts of the images, with programs that stand for Docker, podman and torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.container import ROOT, Engine, Options
from tests.support.dockerfiles import MODELS, make, stages

NEEDED = ("sh", "dirname", "basename", "awk", "sed", "git", "xargs", "mkdir")


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def program(folder: Path, name: str, script: str) -> None:
    """A program that stands for another one."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def only(tmp_path):
    """A folder with what the scripts need, and nothing that builds or runs images."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@pytest.mark.parametrize("verb", ["push-hub", "push-inhouse", "build", "tag", "sbom"])
def test_a_dry_run_needs_nothing_that_builds_images(only, verb):
    done = run(ROOT / "docker" / "image", verb, "dextr-cpu", PATH=str(only), BUILDER="", DRY_RUN="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("docker ") for line in done.stdout.splitlines())
    assert "maskworks-dextr:cpu" in done.stdout


@pytest.mark.parametrize("flags", [[], ["DRY_RUN=1"]])
def test_a_list_of_parts_that_fails_leaves_no_file(only, tmp_path, flags):
    for name in ("make", "rm", "mv"):
        (only / name).symlink_to(shutil.which(name))
    before = set(ROOT.glob("*.cdx.json*"))
    done = run("make", "-C", ROOT, "sbom/dextr-cpu", *flags, PATH=str(only), BUILDER="", HOME=str(tmp_path))
    assert (done.returncode == 0) == bool(flags), done.stderr
    assert set(ROOT.glob("*.cdx.json*")) == before


def test_docker_builds_with_buildkit_whatever_its_default_is(only):
    program(only, "docker", 'echo "$1 $DOCKER_BUILDKIT"')
    done = run(ROOT / "docker" / "image", "build", "dextr-cpu", PATH=str(only), BUILDER="docker", DOCKER_BUILDKIT="0")
    assert done.stdout == "build 1\n", done.stderr


@pytest.mark.parametrize(
    "command",
    [["image", "build", "dextr-cpu"], ["image", "sbom", "dextr-cpu"], ["run-gpus", "maskworks-dextr:cuda", "x"]],
)
def test_where_nothing_builds_images_that_is_what_is_said(only, command):
    done = run(ROOT / "docker" / command[0], *command[1:], PATH=str(only), BUILDER="")
    assert done.returncode == 1
    assert done.stderr == "docker, podman or buildah is needed to build images\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("engine", "user", "kept"), [("podman", 1000, True), ("podman", 0, False), ("docker", 1000, False)]
)
def test_you_are_yourself_in_podmans_containers_too(only, tmp_path, monkeypatch, engine, user, kept):
    program(only, "id", f"echo {user}")
    variables = {"PATH": str(only), "BUILDER": engine, "GPUS": "0 1", "CACHE": str(tmp_path), "DRY_RUN": "1"}
    lines = run(ROOT / "docker" / "run-gpus", "maskworks-sam:cuda", "sam_serve", **variables).stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert f" -u {user}:{user} " in line
        assert (" --userns=keep-id " in line) == kept
    monkeypatch.setattr(os, "getuid", lambda: user)  # the tests of the images run as anybody
    assert ("--userns=keep-id" in Engine(engine, "maskworks-sam:cuda").command(["true"], Options())) == kept


def test_headers_that_compiled_networks_need_stay(tmp_path):
    kept = ["torch/include/torch/cpp_prefix.h", "torch/lib/libtorch.so", "numpy/core.py"]
    gone = ["torch/lib/libx.a", "torch/share/cmake/x.cmake", "nvidia/cu13/include/cuda.h", "scipy/signal/tests/x.py"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert run("sh", ROOT / "docker" / "steps" / "trim.sh", tmp_path).returncode == 0
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        ('"13.0", "sm_75 sm_90"', ""),
        (
            '"12.6", "sm_75 sm_90"',
            "CUDA 12.6, sm_75,sm_90; expected CUDA 13.0, sm_75,sm_90. If .* TORCH_CUDA=12.6 TORCH_ARCHS=",
        ),
        ('"13.0", "sm_75"', "CUDA 13.0, sm_75; expected CUDA 13.0, sm_75,sm_90. If .* TORCH_ARCHS=sm_75$"),
        ("None, None", "built without CUDA; expected CUDA 13.0"),
    ],
)
def test_a_torch_for_other_gpus_than_the_labels_say_ends_the_build(tmp_path, torch, said):
    fake = f"""
class version:
    cuda, archs = {torch}
class _C:
    _cuda_getArchFlags = lambda: version.archs
__version__ = "2.11.0"
"""
    (tmp_path / "torch.py").write_text(fake)
    check = ROOT / "docker" / "steps" / "gpus.py"
    done = run(sys.executable, check, "13.0", "sm_75,sm_90", PYTHONPATH=str(tmp_path))
    assert done.returncode == bool(said)
    assert re.search(said, done.stderr.strip())


@pytest.mark.parametrize("model", MODELS)
def test_tag_labels_and_the_check_of_torch_agree(model):
    (build,) = make(f"build/{model}-cuda", "TORCH_CUDA=12.6", "TORCH_ARCHS=sm_80")
    for words in (
        "--build-arg TORCH_CUDA=12.6", "--label maskworks.cuda=12.6", "_cuda12.6 ",
        "--build-arg TORCH_ARCHS=sm_80", "--label maskworks.cuda-archs=sm_80",
    ):  # fmt: skip
        assert words in build
    assert make(f"tag/{model}-cuda", "TORCH_CUDA=12.6")[0].endswith("_cuda12.6")
    somewhere = make(f"tag/{model}-cuda", "CUDA=/usr/local/cuda")[0]  # as many machines have it in their environment
    assert somewhere == make(f"tag/{model}-cuda")[0]
    assert "CUDA" not in make(f"build/{model}-cpu")[0]
    code = stages(model)["code"]
    assert re.search(r"^ARG TORCH_CUDA=\nARG TORCH_ARCHS=\nRUN sh /build/code.sh ", code, flags=re.MULTILINE)
    assert " docker/steps/gpus.py " in code


def test_make_escapes_nothing_that_an_awk_warns_of():
    assert "\\#" not in (ROOT / "docker" / "images.mk").read_text()
