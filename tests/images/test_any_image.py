"""What holds for every image."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from tests.support.container import ROOT, USER, VERSIONS, fill

pytestmark = pytest.mark.slow("starts containers")


def test_all_commands_are_there_and_say_what_they_do(image):
    for command in image.commands:
        done = image.run(command, "--help")
        assert done.returncode == 0, done.stderr
        assert command in done.stdout


def test_the_labels_tell_what_is_inside(image):
    labels = image.engine.inspect()["Labels"]
    code = "import torch, torchvision; print(torch.__version__, torchvision.__version__, torch.version.cuda)"
    torch, torchvision, cuda = image.run("python", "-c", code).stdout.split()
    assert labels["org.opencontainers.image.title"] == f"maskworks-{image.model}"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["org.opencontainers.image.revision"])
    assert labels["maskworks.device"] == image.device
    assert labels["maskworks.torch"] == torch.partition("+")[0]
    assert labels["maskworks.torchvision"] == torchvision.partition("+")[0]
    tag = labels["org.opencontainers.image.version"]
    if image.device == "cpu":
        assert tag == f"{VERSIONS[image.model]}_cpu"
        return
    code = "import torch; print(torch._C._cuda_getArchFlags())"
    assert labels["maskworks.cuda"] == cuda
    assert labels["maskworks.cuda-archs"].split(",") == image.run("python", "-c", code).stdout.split()
    assert tag == f"{VERSIONS[image.model]}_cuda{cuda}"


def test_gpus_are_asked_for_in_the_image_for_gpus_only(image):
    variables = dict(variable.split("=", 1) for variable in image.engine.inspect()["Env"])
    if image.device == "cuda":
        assert variables["NVIDIA_VISIBLE_DEVICES"] == "all"
        assert "compute" in variables["NVIDIA_DRIVER_CAPABILITIES"]
    else:
        assert variables["NVIDIA_VISIBLE_DEVICES"] == "void"  # also where all containers get GPUs by default


def test_packages_fit_each_other(image):
    said = image.run("pip", "check").stdout.splitlines()
    known = [
        line for line in said if re.search(r" requires (opencv-python|imagecorruptions-imaug), which is not", line)
    ]
    if image.model == "mmdetection":
        assert set(said) == set(known)
    else:
        assert said == ["No broken requirements found."]


def test_no_compiler_is_inside(image):
    done = image.run("sh", "-c", "command -v cc gcc g++ c++ clang nvcc make ninja cmake; exit 0")
    assert done.returncode == 0
    assert done.stdout == ""
    assert image.run("sh", "-c", "find / -xdev -name Python.h -o -xdev -name '*.a' | head").stdout == ""


def test_nothing_of_the_build_is_left(image):
    done = image.run("sh", "-c", "ls -d /build /src /opt/added /opt/start /root/.cache /var/lib/apt/lists/*_*; exit 0")
    assert done.stdout == ""


def test_a_shell_says_what_it_is(image):
    done = image.run("bash", "-i", "-c", "true")
    assert f"maskworks-{image.model} " in done.stdout
    assert "torch 2." in done.stdout
    assert "CPU" in done.stdout or "GPU" in done.stdout
    assert all(command in done.stdout for command in image.commands)
    assert "root" not in done.stdout
    assert "You are root" in image.run("bash", "-i", "-c", "true", user="0:0").stdout


def test_a_script_is_not_disturbed_by_the_banner(image):
    assert image.run("bash", "-c", "echo only this").stdout == "only this\n"


@pytest.mark.parametrize("user", ["0:0", USER, "987654:0"])
def test_any_user_has_a_home_a_cache_and_a_place_to_work(image, user):
    script = "touch $HOME/a /.cache/b $XDG_CACHE_HOME/c d && rm $HOME/a /.cache/b /.cache/c d && echo $XDG_CACHE_HOME"
    done = image.run("sh", "-c", script, user=user)
    assert done.stdout == "/.cache\n", done.stderr
    assert image.run("python", "-c", "import getpass; print(bool(getpass.getuser()))", user=user).stdout == "True\n"


def test_a_mapped_cache_gets_the_files(image, tmp_path):
    fill(tmp_path / "cache" / "x")
    code = "from maskworks.cache import cache_folder; (cache_folder('x') / 'weights').touch()"
    done = image.run("python", "-c", code, mounts={"/.cache": tmp_path / "cache"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cache" / "x" / "weights").stat().st_uid == int(USER.partition(":")[0])


def test_root_can_do_without_the_rest_being_writable(image, tmp_path):
    done = image.run("sh", "-c", "touch /opt/x 2>/dev/null || echo read-only", user="0:0", read_only=True)
    assert done.stdout == "read-only\n"
    for command in image.commands:
        assert image.run(command, "--help", read_only=True).returncode == 0


def test_the_list_of_parts_names_each_once(image):
    command = [ROOT / "docker" / "image", "sbom", f"{image.model}-{image.device}"]
    environment = {**os.environ, "BUILDER": image.engine.program}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    parts = json.loads(done.stdout)["components"]
    assert {"torch", "maskworks", "tini", "python3"} <= {part["name"] for part in parts}
    assert len({part["bom-ref"] for part in parts}) == len(parts)


def test_exit_codes_come_through(image):
    assert image.run("sh", "-c", "exit 7").returncode == 7
    assert image.run(image.commands[0], "--no_such_flag").returncode == 2


def test_health_is_fine_where_no_worker_runs(image):
    assert image.run("maskworks-health").returncode == 0
    assert image.engine.inspect()["Healthcheck"]["Test"] == ["CMD", "maskworks-health"]


def test_mmdetections_operators_and_configs_are_there(image):
    if image.model != "mmdetection":
        pytest.skip("only in MMDetection's image")
    assert image.run("python", "-c", "import mmcv.ops, mmdet").returncode == 0
    path = "/mmdetection/configs/mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
    done = image.run("mmdet_config", path)
    assert done.returncode == 0, done.stderr
    assert "MaskRCNN" in done.stdout
