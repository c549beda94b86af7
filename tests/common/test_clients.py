"""The two test clients as real commands, with a real worker between them."""

from __future__ import annotations

import base64
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from maskworks.commands import redis_clients as clients
from maskworks.transports.redis import listener
from maskworks_dextr.prompt_flags import SENDER
from tests.support.commands import run_here
from tests.support.redis_clients import POINTS, SCRIPTS
from tests.support.redis_process import SERVER
from tests.support.samples import PROMPT, encoded
from tests.support.stalling_proxy import StallingProxy
from tests.support.workplace import wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts processes"),
]

ERROR = '{"error": {"code": "internal", "message": "broken"}, "id": null, "meta": {}}'


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(encoded())
    return path


def send(server, image, *flags):
    """Sends in this process; its exit code and what it said."""
    own = ["-p", server.port, "-c", "requests", "-I", image]
    code, said = run_here(partial(clients.send, SENDER), *own, *flags)
    return SimpleNamespace(returncode=code, stderr=said)


def start_receiving(server, folder, *flags):
    command = [SCRIPTS / "dextr_test_redis_recv", "-p", str(server.port), "-c", "results", "-o", str(folder)]
    return subprocess.Popen([*command, "-f", "got", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def listening(server, patterns):
    client = server.client()
    wait_until(lambda: client.pubsub_numpat() >= patterns)
    client.close()


def test_there_and_back_over_channels(server, image, tmp_path):
    with (
        server.worker(),
        start_receiving(server, tmp_path / "out", "--count", "1", "--overlay", str(image)) as receiver,
    ):
        listening(server, 3)
        assert send(server, image, *POINTS, "--label", "5", "--id", "mine").returncode == 0
        said, _ = receiver.communicate(timeout=30)
    assert receiver.returncode == 0
    assert [Path(line).name for line in said.split()] == ["got.png", "got.json", "got-overlay.png"]
    with Image.open(tmp_path / "out" / "got.png") as mask:
        assert (mask.mode, np.array(mask).max()) == ("P", 5)
    opex = json.loads((tmp_path / "out" / "got.json").read_bytes())
    assert opex["id"] == "mine"
    assert opex["objects"][0]["bbox"] == {"left": 4, "top": 4, "right": 12, "bottom": 12}
    assert json.loads(opex["meta"]["prompt"])["points"][1] == [4.0, 8.0]
    with Image.open(tmp_path / "out" / "got-overlay.png") as overlay:
        assert overlay.size == (24, 16)


def test_there_and_back_over_streams(server, image, tmp_path):
    prompt = tmp_path / "prompt.json"
    prompt.write_bytes(json.dumps({"objects": [json.loads(PROMPT)] * 2}).encode())
    assert send(server, image, "--prompt", str(prompt), "--stream", "--count", "3").returncode == 0
    flags = ["--stream", "--count", "3", "--timeout", "30"]
    with server.worker("--redis_mode", "stream"), start_receiving(server, tmp_path / "out", *flags) as receiver:
        said, _ = receiver.communicate(timeout=60)
    assert receiver.returncode == 0
    assert len(said.split()) == 6
    opex = json.loads((tmp_path / "out" / "got.json").read_bytes())
    assert [entry["meta"]["object"] for entry in opex["objects"]] == ["0", "1"]


def test_an_error_is_written_and_told(server, image, tmp_path):
    with server.worker(), start_receiving(server, tmp_path / "out", "--count", "1") as receiver:
        listening(server, 3)
        send(server, image, *POINTS, "--label", "66")
        _, said = receiver.communicate(timeout=30)
    assert receiver.returncode == 3
    assert "internal" in said
    assert json.loads((tmp_path / "out" / "got.error.json").read_bytes())["error"]["code"] == "internal"


def test_nobody_listens(server, image):
    result = send(server, image, *POINTS)
    assert result.returncode == 3
    assert "nobody listens on requests" in result.stderr


def test_nothing_comes(server, tmp_path):
    with start_receiving(server, tmp_path / "out", "--timeout", "0.3") as receiver:
        _, said = receiver.communicate(timeout=20)
    assert receiver.returncode == 4
    assert "no answer for 0.3 s" in said


def test_no_server(server, image):
    server.stop()
    result = send(server, image, *POINTS)
    assert result.returncode == 4
    assert f"Redis at localhost:{server.port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_is_not_there(server, image):
    result = send(server, image, *POINTS, "-d", "99")
    assert result.returncode == 1
    assert "DB index is out of range" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_name_of_a_stream_is_a_list(server, client, image, tmp_path):
    client.rpush("requests", "1")
    client.rpush("results", "1")
    sent = send(server, image, *POINTS, "--stream")
    with start_receiving(server, tmp_path / "out", "--stream", "--timeout", "10") as receiver:
        _, said = receiver.communicate(timeout=30)
    for code, text in ((sent.returncode, sent.stderr), (receiver.returncode, said)):
        assert code == 1
        assert "WRONGTYPE" in text
        assert "Traceback" not in text


def test_the_server_goes_away_while_receiving(server, tmp_path):
    with start_receiving(server, tmp_path / "out") as receiver:
        listening(server, 2)
        server.stop()
        _, said = receiver.communicate(timeout=30)
    assert receiver.returncode == 4
    assert f"Redis at localhost:{server.port}" in said
    assert "Traceback" not in said


@pytest.fixture
def proxy(server):
    proxy = StallingProxy(server.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("flags", [(), ("--stream",)])
def test_the_network_falls_silent_while_receiving(server, proxy, client, tmp_path, monkeypatch, flags):
    monkeypatch.setattr(listener, "_SILENCE", 0.2)
    monkeypatch.setattr(listener, "_PATIENCE", 0.5)
    receive = partial(clients.receive, "dextr")
    flags = [*flags, "--url", f"redis://localhost:{proxy.port}/0?socket_timeout=3", "-c", "results", "-o", tmp_path]
    with ThreadPoolExecutor(1) as threads:
        end = threads.submit(run_here, receive, *flags)
        wait_until(lambda: client.pubsub_numpat() == 2 or client.info("clients")["blocked_clients"])
        proxy.stall()
        code, said = end.result(60)
    assert code == 4
    assert f"Redis at redis://localhost:{proxy.port}" in said
    assert "silent" in said or "said nothing" in said


def test_the_network_is_silent_while_sending(server, proxy, image):
    proxy.stall()
    sent = send(server, image, *POINTS, "--url", f"redis://localhost:{proxy.port}/0?socket_timeout=0.5")
    assert sent.returncode == 4
    assert "no answer in time" in sent.stderr


def test_files_cannot_be_written(server, client, image, tmp_path):
    with start_receiving(server, image) as receiver:
        _, said = receiver.communicate(timeout=30)
    assert receiver.returncode == 2
    assert said.startswith("dextr_test_redis_recv: --output_dir: ")
    (tmp_path / "out" / "got.error.json").mkdir(parents=True)
    client.xadd("results_errors", {"data": ERROR})
    with start_receiving(server, tmp_path / "out", "--stream") as receiver:
        _, said = receiver.communicate(timeout=30)
    assert receiver.returncode == 1
    assert "got.error.json: Is a directory" in said
    assert "Traceback" not in said


def test_what_is_no_answer_does_not_end_the_receiver(server, client, tmp_path):
    for fields in ({"other": "1"}, {"data": "hello"}, {"data": '{"mask": 1}'}, {"data": ERROR}):
        client.xadd("results", fields)
    with start_receiving(server, tmp_path / "out", "--stream", "--count", "4") as receiver:
        _, said = receiver.communicate(timeout=30)
    assert receiver.returncode == 3
    assert said.count("no answer of a worker: ") == 3
    assert (tmp_path / "out" / "got.error.json").read_text() == ERROR


def test_a_pattern_that_includes_the_errors_gets_each_once(server, client, tmp_path):
    with start_receiving(server, tmp_path / "out", "-c", "results*", "--count", "2") as receiver:
        listening(server, 1)
        client.publish("results_errors", ERROR)
        client.publish("results_errors", ERROR.replace("broken", "second"))
        _, said = receiver.communicate(timeout=30)
    assert said.splitlines() == ["error: internal: broken", "error: internal: second"]


def test_a_wrong_password(server, client, image, monkeypatch):
    client.config_set("requirepass", "right")
    monkeypatch.setenv("REDIS_SECRET", "hunter2")
    result = send(server, image, *POINTS, "--password_env", "REDIS_SECRET")
    assert result.returncode == 1
    assert "(--password_env)" in result.stderr
    for words in ("--redis_", "hunter2", "Traceback"):
        assert words not in result.stderr


def test_a_long_stream_is_not_read_at_once(server, client, tmp_path):
    for _ in range(40):
        client.xadd("results", {"data": ERROR})
    with start_receiving(server, tmp_path / "out", "--stream", "--count", "40") as receiver:
        receiver.communicate(timeout=30)
    assert client.info("commandstats")["cmdstat_xread"]["calls"] >= 3


def test_nobody_wants_to_know_more_names(server, client, tmp_path):
    client.xadd("results", {"data": ERROR})
    with start_receiving(server, tmp_path / "out", "--stream") as receiver:
        assert receiver.stdout.readline().endswith("got.error.json\n")
        receiver.stdout.close()
        client.xadd("results", {"data": ERROR})
        receiver.wait(30)
        said = receiver.stderr.read()
    assert receiver.returncode == 3
    assert said.splitlines() == ["error: internal: broken"] * 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-P", "1,2", "3,4", "5,6", "seven"], "'seven' is no point"),
        (["-P", "1,2", "3,4", "5,6"], "-P"),
        (["--prompt", "nowhere.json"], "nowhere.json"),
        ([], "--prompt"),
        ([*POINTS, "-I", "nowhere.jpg"], "nowhere.jpg"),
        ([*POINTS, "--url", "redis://localhost:port"], "--url: "),
        ([*POINTS, "-p", "99999"], "--port: "),
    ],
)
def test_wrong_usage(server, image, flags, words):
    result = send(server, image, *flags)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_replies_of_older_workers_are_understood(server, tmp_path):
    """They have no meta.contours, and line breaks in the mask."""
    client = server.client()
    with start_receiving(server, tmp_path / "out", "--count", "1") as receiver:
        listening(server, 2)
        text = base64.encodebytes(encoded(Image.new("P", (24, 16), 1))).decode()
        reply = {
            "mask": text,
            "contours": [[[0, 0], [23, 0], [23, 15], [0, 15]]],
            "meta": {"segmenter": {"type": "dextr"}},
        }
        client.publish("results", json.dumps(reply))
        receiver.communicate(timeout=30)
    client.close()
    assert receiver.returncode == 0
    opex = json.loads((tmp_path / "out" / "got.json").read_bytes())
    assert opex["objects"][0]["polygon"]["points"] == [[0, 0], [23, 0], [23, 15], [0, 15]]
