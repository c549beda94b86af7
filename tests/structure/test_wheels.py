"""`make wheels` and `make publish`: complete wheels, which work in a fresh environment."""

from __future__ import annotations

import os
import site
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.distributions import OURS, PACKAGES, ROOT, copied_sources, program, project, run

VERSION = project("common/maskworks")["version"]
NAMES = sorted(f"{name.replace('-', '_')}-{VERSION}-py3-none-any.whl" for name in OURS)
# All that is installed here beside our own packages, which are looked for elsewhere.
LIBRARIES = [path for path in sys.path if path.endswith("site-packages")] or site.getsitepackages()


def making(folder: Path, pip: str) -> list[str]:
    """The variables of `make` for an environment that counts as installed, with a pip of its own."""
    program(folder / "venv" / "bin" / "pip", pip)
    program(folder / "venv" / "bin" / "uv", 'echo uploading "$@"')
    (folder / "venv" / "installed").touch()
    os.utime(folder / "venv" / "installed", (2**32, 2**32))
    return [f"VENV={folder / 'venv'}", f"DIST={folder / 'dist'}"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("make")
    sources = copied_sources(folder / "sources")
    done = run("make", "wheels", *making(folder, f'exec {sys.executable} -m pip "$@"'), cwd=sources)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.fixture
def publish(tmp_path):
    """`make publish` with two wheels, and their names."""
    files = f"{tmp_path}/dist/a.whl {tmp_path}/dist/b.whl"
    variables = making(tmp_path, f"mkdir -p {tmp_path}/dist && touch {files}")
    return lambda *words: run("make", "--no-print-directory", "publish", *words, *variables), files


@pytest.fixture(scope="module")
def fresh(dist, tmp_path_factory):
    """Python of an environment with wheels of ours; of what else it needs it sees that of the tests."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    wanted = ["maskworks", "maskworks-torch", "maskworks-sam"]
    done = run(*pip, "install", "--no-deps", "--no-index", "--find-links", str(dist), *wanted)
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in LIBRARIES))
    return python


def contents(wheel: Path) -> dict[str, str]:
    """The files of a wheel, the texts of its metadata by their names."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name).decode() if ".dist-info/" in name else "" for name in archive.namelist()
        }  # fmt: skip


@pytest.mark.slow("builds wheels")
def test_all_wheels_are_there(dist):
    assert sorted(path.name for path in dist.iterdir()) == NAMES


@pytest.mark.slow("builds wheels")
@pytest.mark.parametrize("folder", PACKAGES)
def test_a_wheel_has_all_modules_and_files_a_licence_and_a_readme(dist, folder):
    name = project(folder)["name"].replace("-", "_")
    found = contents(dist / f"{name}-{VERSION}-py3-none-any.whl")
    source = ROOT / folder / "src"
    kept = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and ".egg-info" not in str(path)
    }
    assert {file for file in found if ".dist-info/" not in file} == kept
    about = f"{name}-{VERSION}.dist-info"
    assert found[f"{about}/licenses/LICENSE"] == (ROOT / "LICENSE").read_text()
    metadata = found[f"{about}/METADATA"]
    assert metadata.endswith((ROOT / folder / "README.md").read_text().strip() + "\n")
    assert "License-Expression: MIT\n" in metadata
    assert "Project-URL" not in metadata.partition("\n\n")[0]


@pytest.mark.slow("builds wheels")
def test_a_model_works_in_a_fresh_environment(fresh):
    help_ = run(fresh.parent / "sam_serve", "--help")
    assert help_.returncode == 0, help_.stderr
    assert "--port" in help_.stdout
    code = "import maskworks, maskworks_sam.model, maskworks_torch; print(maskworks.__file__, maskworks_torch.__file__)"
    done = run(fresh, "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(fresh.parents[1])) for path in done.stdout.split())
    weights = ROOT / "tests" / "golden" / "sam" / "small.safetensors"
    folders = ["--prediction_in", "nowhere", "--prediction_out", "out"]
    refused = run(fresh.parent / "sam_predict_poll", "--model", weights, *folders)
    assert refused.returncode == 2
    assert "nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow("builds wheels")
def test_publishing_says_how(publish):
    make, files = publish
    for flags, url in ([], "INDEX"), (["INDEX=file:///index"], "file:///index"):
        done = make("DRY_RUN=1", *flags)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].endswith(f"/bin/uv publish --publish-url {url} {files}")
        assert "uploading" not in done.stdout


@pytest.mark.slow("builds wheels")
def test_publishing_needs_an_index(publish):
    make, files = publish
    done = make()
    assert done.returncode == 2
    assert done.stdout.splitlines()[0] == "INDEX is missing: make publish INDEX=URL, the URL for uploads"
    assert (
        make("INDEX=file:///index").stdout.splitlines()[-1] == f"uploading publish --publish-url file:///index {files}"
    )
