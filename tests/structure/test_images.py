"""The images: one list of them, four Dockerfiles with one shape, locked packages, compose file and verbs that fit."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.container import LIST, ROOT, VERSIONS, commands
from tests.support.distributions import ON_REQUEST, OURS, TESTED, normal, project, requirements
from tests.support.dockerfiles import MODELS, dockerfile, make, stages

LOCKS = sorted((ROOT / "docker" / "lock").glob("*.txt"))
SHELL = [
    ROOT / "docker" / "image", ROOT / "docker" / "builder", ROOT / "docker" / "run-gpus",
    *sorted((ROOT / "docker" / "steps").glob("*.sh")), *sorted((ROOT / "docker" / "rootfs").rglob("*")),
]  # fmt: skip
CORE = ("common/maskworks", "common/maskworks_torch")  # in all images


def test_the_list_names_the_folders_with_a_dockerfile():
    assert sorted(MODELS) == sorted(path.parent.name for path in ROOT.glob("*/Dockerfile"))


def test_the_table_in_the_docs_is_that_list():
    text = (ROOT / "docs" / "images.md").read_text()
    rows = re.findall(r"^\| `maskworks-(\w+)` \| `([\w-]+)/([\w-]+)` \| `([\w.-]+)` \|", text, flags=re.MULTILINE)
    assert [[model, version, f"{group}/{name}"] for model, group, name, version in rows] == LIST


@pytest.mark.parametrize("model", MODELS)
def test_a_dockerfile_hides_no_failure_and_holds_no_weights(model):
    text = dockerfile(model)
    assert "|| true" not in text
    assert not re.search(r"\.(pth|pkl|safetensors|pt)\b|\bwget\b|\bcurl\b|https?://", text)
    assert not re.search(r"^ADD ", text, flags=re.MULTILINE)
    assert "ARG BASE_IMAGE=debian:bookworm-slim" in text
    assert "ARG TORCH_INDEX=\n" in text


@pytest.mark.parametrize("model", MODELS)
def test_what_ends_in_an_image_has_no_compiler(model):
    parts = stages(model)
    for name in ("base", "cpu", "cuda", "final"):
        assert not re.search(r"\b(g\+\+|gcc|make|cmake|python3-dev|build-essential|nvcc|ninja)\b", parts[name]), name


@pytest.mark.parametrize("model", MODELS)
def test_own_code_is_copied_last(model):
    copies = re.findall(r"^COPY (.*)", stages(model)["final"], flags=re.MULTILINE)
    assert copies == ["--from=torch /opt/venv /opt/venv", "--from=packages /opt/added /", "--from=code /opt/added /"]
    before = dockerfile(model).partition("AS code")[0]
    assert not re.search(r"^COPY (common|\S*src)\b", before, flags=re.MULTILINE)


@pytest.mark.parametrize("stage", ["base", "complete", "torch", "cpu", "cuda", "final"])
def test_the_layers_that_images_share_are_made_in_the_same_way(stage):
    parts = [stages(model)[stage].partition("\n#")[0] for model in MODELS]
    assert len({re.sub(r"LABEL .*?(?=^WORKDIR)", "", part, flags=re.DOTALL | re.MULTILINE) for part in parts}) == 1


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_locked_packages_have_hashes_and_the_tested_versions(path):
    text = path.read_text()
    assert "://" not in text
    blocks = re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n +--hash=sha256:[0-9a-f]{64}.*)*)", text, flags=re.MULTILINE)
    assert blocks
    assert len(blocks) == len([line for line in text.splitlines() if re.match(r"\w", line)])
    for name, version, rest in blocks:
        assert "--hash=sha256:" in rest, name
        if path.stem != "openmmlab":  # has build tools of its own
            assert TESTED.get(normal(name), version) == version, name


@pytest.mark.parametrize("model", MODELS)
def test_all_that_a_package_needs_is_locked(model):
    texts = [(ROOT / "docker" / "lock" / f"{name}.txt").read_text() for name in ("torch", "shared", model)]
    locked = {normal(name) for text in texts for name in re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE)}
    needed = {need.name for folder in (*CORE, model) for need in requirements(folder)}
    assert len(needed) > 15
    assert needed - ON_REQUEST <= locked | OURS.keys()
    assert not locked & ON_REQUEST


@pytest.mark.parametrize("model", MODELS)
def test_an_image_has_all_that_its_distribution_needs_of_ours(model):
    folders = re.search(rf"^RUN sh /build/code.sh {model} (.*)", stages(model)["code"], flags=re.MULTILINE)
    assert folders is not None
    assert folders[1].split() == [f"/src/{folder}" for folder in (*CORE, model)]
    assert {need.name for need in requirements(model)} & OURS.keys() <= {project(folder)["name"] for folder in CORE}


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_scripts_can_be_read_by_a_shell(path):
    if path.is_file():
        assert subprocess.run(["sh", "-n", path], capture_output=True, check=False).returncode == 0


def test_verbs_build_and_publish_under_the_known_names():
    (build,) = make("build/dextr-cuda", "TORCH_INDEX=somewhere", "BASE_IMAGE=debian@sha256:1")
    assert build.startswith("docker build --build-arg DEVICE=cuda --build-arg TORCH_INDEX=somewhere ")
    assert build.endswith(" -f dextr/Dockerfile -t maskworks-dextr:cuda .")
    assert "--build-arg BASE_IMAGE=debian@sha256:1" in build
    tag = f"pytorch-dextr:{VERSIONS['dextr']}_cpu"
    assert make("tag/dextr-cpu") == [f"docker tag maskworks-dextr:cpu {tag}"]
    registry = "public-push.aml-repo.cms.waikato.ac.nz:443"
    assert make("login-inhouse") == [f"docker login {registry}"]
    assert make("push-inhouse/dextr-cpu") == [
        f"docker tag maskworks-dextr:cpu {registry}/pytorch/{tag}", f"docker push {registry}/pytorch/{tag}"
    ]  # fmt: skip
    assert make("push-hub/dextr-cpu", "HUB=docker.io/me")[1] == f"docker push docker.io/me/{tag}"
    assert len(make("build-all")) == 2 * len(MODELS)


def test_an_unknown_image_is_refused_with_the_known_ones():
    environment = {**os.environ, "BUILDER": "docker"}  # whether it is there does not matter
    done = subprocess.run(
        [ROOT / "docker" / "image", "build", "dextr-tpu"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 2
    assert "dextr-cpu dextr-cuda" in done.stderr


def test_compose_runs_commands_that_exist_with_flags_that_they_have():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert sorted(services.keys() - {"redis"}) == sorted(MODELS)
    for model in MODELS:
        service = services[model]
        assert service["image"] == f"maskworks-{model}:${{DEVICE:-cpu}}"
        assert service["profiles"] == [model]
        assert service["read_only"] is True
        command, *flags = shlex.split(service["command"])
        assert command in commands(model)
        known = subprocess.run(
            [Path(sys.executable).parent / command, "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert {flag for flag in flags if flag.startswith("--")} <= set(re.findall(r"--\w+", known))
    gpus = yaml.safe_load((ROOT / "docker" / "compose.cuda.yaml").read_text())["services"]
    assert sorted(gpus) == sorted(MODELS)


def test_kubernetes_asks_a_worker_that_still_loads_its_model_for_longer():
    block = re.search(
        r"^    startupProbe:\n(    .*\n)+", (ROOT / "docs" / "scaling.md").read_text(), flags=re.MULTILINE
    )
    assert block is not None
    probes = yaml.safe_load(block[0])
    start, live, ready = probes["startupProbe"], probes["livenessProbe"], probes["readinessProbe"]
    assert start["exec"] == live["exec"]
    command, *flags = live["exec"]["command"]
    assert command in commands("dextr")
    assert flags == ["--check", "live"]  # a server that is away is no reason to start workers anew
    assert ready["exec"]["command"] == [command, "--check"]
    assert start["failureThreshold"] * 10 >= 600  # seconds; Kubernetes asks every ten of them
    assert start["timeoutSeconds"] == live["timeoutSeconds"] == ready["timeoutSeconds"] == 10


def test_one_worker_for_each_gpu(tmp_path):
    environment = {**os.environ, "BUILDER": "docker", "DRY_RUN": "1", "GPUS": "0 2", "CACHE": str(tmp_path)}
    command = [ROOT / "docker" / "run-gpus", "maskworks-sam:cuda", "sam_predict_redis", "--model", "/weights/sam.pth"]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [re.search(r"--gpus device=(\d)", line)[1] for line in lines] == ["0", "2"]
    assert all(line.endswith("maskworks-sam:cuda sam_predict_redis --model /weights/sam.pth") for line in lines)
    assert all(f"-u {os.getuid()}:{os.getgid()} " in line for line in lines)
