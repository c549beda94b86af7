"""`make install` and `make mmdetection`: which Python, where torch comes from, which wheels are built again."""

from __future__ import annotations

import os
import re
import shutil
import sys

import pytest

from tests.support.distributions import PACKAGES, ROOT, offer, program, run

# What says which Python is needed, in its words.
PYTHON = {
    **{f"{name}/pyproject.toml": r'requires-python = ">=3\.(\d+)"' for name in PACKAGES},
    "pyproject.toml": r'target-version = "py3(\d+)"|python_version = "3\.(\d+)"',
    "Makefile": r"sys\.version_info < \(3, (\d+)\)|Python 3\.(\d+) or newer|PYTHON=python3\.(\d+)",
    "README.md": r"Python 3\.(\d+) or newer",
    "docker/lock.py": r'PYTHON = "3\.(\d+)"',
    ".ci/run": r"Python 3\.(\d+)",
}


@pytest.mark.parametrize("place", PYTHON)
def test_every_place_asks_for_the_same_python(place):
    found = re.findall(PYTHON[place], (ROOT / place).read_text())
    assert found
    assert {"".join(groups) for groups in found} == {"11"}


def test_an_older_python_is_refused(tmp_path):
    python = tmp_path / "python"
    code = "import sys; sys.version_info = (3, 10, 13); exec(sys.argv[2])"
    program(python, f"exec {sys.executable} -c '{code}' \"$@\"")
    done = run("make", "install", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}")
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stdout
    assert not (tmp_path / "venv").exists()


@pytest.mark.slow("starts processes")
def test_torch_alone_comes_from_its_index(tmp_path):
    """The index has torch, and of what torch needs another version than the tested one; the rest is only noted here."""
    index, environment = tmp_path / "simple", tmp_path / "venv"
    offer(index, "torch", "2.11.0+cpu", "filelock")
    offer(index, "torchvision", "0.26.0+cpu", "numpy")
    offer(index, "filelock", "3.20.0", "torch")
    install = f'exec {sys.executable} -m pip "$@" --target {tmp_path / "site"}'
    program(
        environment / "bin" / "pip",
        f'case "$*" in *--index-url*) {install} ;; *) echo "$@" >>{tmp_path / "rest"} ;; esac',
    )
    done = run("make", "install", f"VENV={environment}", f"PYTHON={sys.executable}", f"TORCH_INDEX={index.as_uri()}")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "site").glob("*.py")} == {"torch.py", "torchvision.py"}
    (rest,) = (tmp_path / "rest").read_text().splitlines()
    assert "--no-deps" not in rest
    folders = [folder if folder.startswith("common/") else f"{folder}[commands]" for folder in PACKAGES]
    assert rest.endswith(" ".join(f"-e ./{folder}" for folder in folders))


def test_mmdetections_wheels_are_built_for_each_version_and_kind_of_gpu_once(tmp_path):
    installer, python, log = tmp_path / "mmdetection" / "install.sh", tmp_path / "python", tmp_path / "log"
    installer.parent.mkdir()
    shutil.copy(ROOT / "mmdetection" / "install.sh", installer)
    (tmp_path / "Python.h").touch()
    program(
        python,
        f"""
case "$*" in
  *torch.__version__*) echo py3.11-torch2.11.0 ;;
  *sysconfig*) echo {tmp_path} ;;
  *" wheel "*)
    echo "built for $TORCH_CUDA_ARCH_LIST" >>{log}
    while [ "$1" != -w ]; do shift; done
    mkdir "$2" && touch "$2/onedl_mmcv-1.whl" "$2/onedl_mmdetection-1.whl"
    ;;
  *.whl*) echo "$@" >>{log} ;;
esac""",
    )

    def install(archs: str) -> list[str]:
        log.unlink(missing_ok=True)
        done = run("sh", installer, python, tmp_path / "wheels", CXX="true", FORCE_CUDA="1", TORCH_CUDA_ARCH_LIST=archs)
        assert done.returncode == 0, done.stderr
        *built, installed = log.read_text().splitlines()
        assert "--force-reinstall" in installed  # pip keeps another build of the same version
        return built

    assert install("8.0;9.0+PTX") == ["built for 8.0;9.0+PTX"]
    assert install("8.0;9.0+PTX") == []
    assert install("8.0") == ["built for 8.0"]
    installer.write_text(re.sub(r"onedl-mmcv==[\d.]+", "onedl-mmcv==9.9.9", installer.read_text()))
    assert install("8.0") == ["built for 8.0"]
    assert len(list((tmp_path / "wheels").iterdir())) == 3
    assert all(os.uname().machine in folder.name for folder in (tmp_path / "wheels").iterdir())
