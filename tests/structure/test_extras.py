"""Without the extras: libraries load, and a command that needs one says which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskworks.commands.extra import BROUGHT
from tests.support.distributions import ON_REQUEST, ROOT, requirements

WEIGHTS = ROOT / "tests" / "golden" / "sam" / "small.safetensors"
# What stands behind an extra, by module; with its submodules.
BEHIND = (
    "maskworks.transports.redis", "maskworks.transports.http", "maskworks.transports.folder.watch",
    "maskworks_tensormask.model_endpoint", "maskworks_tensormask.both_sizes",
)  # fmt: skip
# Python as it is where some packages are not installed.
ABSENT = """
import sys, warnings
warnings.simplefilter("ignore")
for name in {absent}:
    sys.modules[name] = None
"""


def python(code: str, absent: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code where some packages are not installed."""
    text = ABSENT.format(absent=sorted(absent)) + code
    return subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False, timeout=100
    )


def test_the_message_knows_all_that_the_extras_bring():
    base = {need.name for need in requirements("common/maskworks", extras=False)}
    brought = {need.name for need in requirements("common/maskworks")} - base - {"maskworks", *ON_REQUEST}
    assert {name.replace("_", "-") for name in BROUGHT - {"hiredis"}} == brought


def modules(folder: str) -> list[str]:
    """The modules of a distribution that need no extra."""
    source = ROOT / folder / "src"
    names = [
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(source.rglob("*.py"))
        if not {"starter", "__main__.py"} & set(path.parts)
    ]
    return [name for name in names if not name.startswith(BEHIND)]


@pytest.mark.slow("loads torch in another process")
@pytest.mark.parametrize(
    ("folders", "own"),
    [
        (["common/maskworks", "common/maskworks_torch", "sam", "tensormask"], set()),
        (["dextr"], {"tqdm"}),
        (["mmdetection"], {"tqdm"}),  # MMDetection's
    ],
    ids=["core, SAM and TensorMask", "DEXTR", "MMDetection"],
)
def test_all_modules_load_without_extras_but_those_of_redis_and_http(folders, own):
    if "mmdetection" in folders:
        pytest.importorskip("mmdet")
    code = """
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    done = python(code, BROUGHT - own, *(name for folder in folders for name in modules(folder)))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow("loads torch in another process")
def test_the_libraries_load_no_redis_and_no_server_where_they_are_installed():
    code = """
import dextr, dextr.train.job, maskworks_sam.model, maskworks_torch.device, tensormask
print([name for name in ('redis', 'starlette', 'uvicorn') if name in sys.modules])
"""
    done = python(code, set())
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.slow("loads torch in another process")
@pytest.mark.parametrize(
    ("command", "absent", "flags"),
    [
        ("serve_http", "starlette", []),
        ("predict_redis", "redis", ["--redis_in", "in", "--redis_out", "out"]),
        ("predict_poll", "watchdog", ["--use_watchdog"]),
    ],
)
def test_a_command_without_its_extra_says_which(tmp_path, command, absent, flags):
    (tmp_path / "in").mkdir()
    name = {"serve_http": "sam_serve"}.get(command, f"sam_{command}")
    if command == "predict_poll":
        flags = [*flags, "--prediction_in", str(tmp_path / "in"), "--prediction_out", str(tmp_path / "out")]
    code = f"sys.argv[0] = {name!r}\nfrom maskworks_sam.cli import {command} as main\nmain()"
    done = python(code, {absent}, "--model", str(WEIGHTS), *flags)
    assert done.returncode == 1
    said = "is not installed; it comes with an extra of maskworks-sam: install maskworks-sam[commands]"
    assert done.stderr.splitlines() == [f"{name}: {absent} {said}"]


def test_the_doctor_says_it_too():
    code = """
from maskworks.commands.doctor.redis import redis
from maskworks.config import RedisServerConfig
(finding,) = redis(RedisServerConfig())
print(finding.state, finding.text)
"""
    done = python(code, BROUGHT)
    assert done.stdout.startswith("note redis is not installed; it comes with an extra of maskworks: "), done.stderr


@pytest.mark.slow("loads torch in another process")
def test_a_folder_is_worked_on_without_any_extra(tmp_path):
    photos = ROOT / "dextr" / "demo" / "photos"
    source = tmp_path / "in"
    source.mkdir()
    for name in ("coffee.jpg", "coffee.points"):
        Path(source / name).write_bytes((photos / name).read_bytes())
    code = "from maskworks_dextr.cli import predict_poll\npredict_poll()"
    folders = ["--prediction_in", str(source), "--prediction_out", str(tmp_path / "out")]
    done = python(code, BROUGHT - {"tqdm"}, "--model", "demo", "--device", "cpu", *folders)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "coffee.json").is_file()
