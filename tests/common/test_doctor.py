"""`maskworks doctor`: what is right is called right, what is wrong is named, and a broken part hides no other."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sysconfig
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from maskworks.commands.doctor import command, system
from maskworks.commands.doctor.finding import Finding, guarded
from maskworks.commands.doctor.redis import redis
from maskworks.commands.doctor.reference_image import EXTREME_POINTS, known_image
from maskworks.commands.doctor.report import as_json, table
from maskworks.commands.doctor.trial import trial
from maskworks.config import RedisServerConfig
from maskworks.errors import BadImage, DeviceError
from maskworks.geometry import extreme_values
from maskworks.types import Instance, Request
from maskworks_torch.doctor.checkup import architecture
from tests.support.commands import run_here
from tests.support.redis_process import SERVER, RedisProcess

DOCTOR = [Path(sysconfig.get_path("scripts")) / "maskworks", "doctor"]


def examined(*flags, **environment):
    """Exit code and findings by topic."""
    done = subprocess.run(
        [*DOCTOR, "--json", *flags], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    findings = {entry["topic"]: entry for entry in json.loads(done.stdout)}
    assert "Traceback" not in done.stderr
    return done.returncode, findings


def examined_here(*flags):
    """The same in this process, which may have loaded torch already."""
    with redirect_stdout(StringIO()) as said:
        code, _ = run_here(command.main, "doctor", "--json", *flags)
    logging.disable(logging.NOTSET)  # the command turns logging off
    return code, {entry["topic"]: entry for entry in json.loads(said.getvalue())}


@pytest.fixture
def guarded_server(tmp_path):
    """A Redis server with a password and a limit that it keeps by forgetting."""
    if SERVER is None:
        pytest.skip("redis-server is not installed")
    (tmp_path / "redis").mkdir()
    limits = ("--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru")
    server = RedisProcess(tmp_path / "redis", "--requirepass", "right", *limits)
    yield server
    server.stop()


@pytest.mark.slow("computes with every model")
def test_a_right_installation(tmp_path, guarded_server):
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"abc")
    redis_flags = ["--redis_port", str(guarded_server.port), "--redis_password_env", "SECRET"]
    flags = ["--device", "cpu", "--weights", str(weights), *redis_flags]
    code, found = examined(*flags, XDG_CACHE_HOME=str(tmp_path), SECRET="right")
    assert [entry for entry in found.values() if entry["state"] == "problem"] == []
    assert code == 0
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in found["weights.pth"]["text"]
    assert found["dextr"]["state"] == "ok"
    assert "IoU" in found["dextr"]["text"]
    assert found["cache"]["text"].startswith(str(tmp_path))
    assert found["redis"]["state"] == "ok"
    assert found["redis memory"]["state"] == "note"


@pytest.mark.slow("loads every model")
def test_a_wrong_installation_says_everything_that_is_wrong():
    code, found = examined_here("--device", "cuda:99", "--redis_port", "1", "--weights", "missing.pth")
    assert code == 1
    problems = {topic for topic, entry in found.items() if entry["state"] == "problem"}
    assert {"device", "redis", "missing.pth", "dextr"} <= problems
    assert found["python"]["state"] == "ok"


def test_distributions_of_different_versions_are_a_problem(monkeypatch):
    versions = {"maskworks": "0.1.0", "maskworks-sam": "0.2.0"}
    monkeypatch.setattr(system.metadata, "distributions", lambda: [SimpleNamespace(name=name) for name in versions])
    monkeypatch.setattr(system.metadata, "version", lambda name: versions.get(name, "1.0"))
    found = next(finding for finding in system.versions() if finding.topic == "maskworks")
    assert found.state == "problem"
    assert found.text.startswith("maskworks 0.1.0, maskworks-sam 0.2.0: different versions; ")


def test_wrong_flags():
    done = subprocess.run([*DOCTOR, "--redis_url", "ftp://x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--redis_url: expected a URL" in done.stderr
    assert subprocess.run(DOCTOR[:1], capture_output=True, check=False).returncode == 2


@pytest.mark.slow("loads every model")
def test_a_server_that_refuses_a_password_is_named_without_it(guarded_server):
    flags = ["--device", "cuda:99", "--redis_port", str(guarded_server.port), "--redis_password", "hunter2"]
    code, found = examined_here(*flags)
    assert (code, found["redis"]["state"]) == (1, "problem")
    assert "refuses" in found["redis"]["text"]
    assert "hunter2" not in json.dumps(found)


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_a_redis_user_who_may_do_no_more_than_a_worker_needs(server):
    server.client().acl_setuser("worker", enabled=True, passwords=["+right"], commands=["+ping"], reset=True)
    (found,) = redis(RedisServerConfig(redis_url=f"redis://worker:right@127.0.0.1:{server.port}/0"))
    assert found.state == "ok"
    assert "answers, version unknown" in found.text


def test_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    (finding,) = system.cache()
    assert finding.state == "problem"
    assert "XDG_CACHE_HOME" in finding.text


@pytest.mark.parametrize(
    ("own", "built_for", "state"),
    [
        ("sm_90", ["sm_80", "sm_90"], "ok"),
        ("sm_86", ["sm_75", "sm_80", "sm_90"], "ok"),  # the same major generation
        ("sm_70", ["sm_75", "sm_80", "sm_90"], "problem"),
        ("sm_120", ["sm_80", "sm_90"], "problem"),
        ("sm_120", ["sm_80", "compute_90"], "ok"),  # translated when it is loaded
        ("sm_80", ["sm_86", "sm_90"], "problem"),
    ],
)
def test_architectures(own, built_for, state):
    assert architecture(own, built_for).state == state


def test_a_check_that_breaks_is_a_finding():
    def breaks():
        yield Finding("a", "ok", "fine")
        raise ImportError("libnothing.so: cannot open\nmore")

    def refuses():
        raise DeviceError("--device x: not there")
        yield

    assert [(f.state, f.text) for f in guarded("b", breaks)] == [
        ("ok", "fine"), ("problem", "ImportError: libnothing.so: cannot open"),
    ]  # fmt: skip
    assert [f.text for f in guarded("c", refuses)] == ["--device x: not there"]


def test_findings_are_reported_as_a_table_and_as_json():
    findings = [Finding("one", "ok", "1"), Finding("three", "problem", "word " * 40)]
    lines = table(findings, width=80).splitlines()
    assert lines[0] == "ok       one    1"
    assert lines[1].startswith("PROBLEM  three  word word")
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "1 problem found"
    assert table(findings[:1]).endswith("all is well")
    assert json.loads(as_json(findings))[0] == {"topic": "one", "state": "ok", "text": "1"}


def test_the_known_image():
    image, mask = known_image()
    assert (image.shape, image.dtype, mask.shape) == ((192, 256, 3), np.uint8, (192, 256))
    np.testing.assert_array_equal(
        np.concatenate([EXTREME_POINTS.min(axis=0), EXTREME_POINTS.max(axis=0)]), extreme_values(mask)
    )


class Fixed:
    """Answers with one mask, or with an error."""

    def __init__(self, answer):
        self.segmenter, self.answer = {}, answer

    def predict(self, requests):
        return [self.answer if isinstance(self.answer, Exception) else [Instance(self.answer)] for _ in requests]


def test_a_trial_tells_wrong_masks_from_right_ones():
    image, mask = known_image()
    request = Request("known", image)
    other = np.roll(mask, 40, axis=1)
    assert trial("x", request, Fixed(mask), Fixed(mask), 0.98, mask).state == "ok"
    assert trial("x", request, Fixed(other), Fixed(mask), 0.98).state == "problem"
    assert trial("x", request, Fixed(other), Fixed(other), 0.98, mask).state == "problem"
    with pytest.raises(BadImage):
        trial("x", request, Fixed(BadImage("no")), Fixed(mask), 0.98)
