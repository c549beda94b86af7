"""What docs/security.md says and no other test holds."""

from __future__ import annotations

import argparse
import hmac
import json
import signal
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from maskworks.commands import redis_clients as clients
from maskworks.config import MetricsConfig
from maskworks.errors import Unauthorized
from maskworks.transports.http.token import check_token
from tests.support.http_process import HttpProcess
from tests.support.redis_process import SERVER, Listener, RedisProcess, entries, message
from tests.support.samples import PROMPT, encoded
from tests.support.workplace import wait_until


@pytest.mark.slow("starts processes")
@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
@pytest.mark.parametrize("mode", ["pubsub", "stream"])
@pytest.mark.parametrize("reply_to", ["private", "results_of_another_kind", "results\ud800"])
def test_answers_cannot_be_sent_where_the_worker_cannot_write(tmp_path, mode, reply_to):
    """`reply_to` of a forbidden or impossible place: nothing arrives there, the requester's error goes elsewhere."""
    server = RedisProcess(tmp_path)
    admin = server.client()
    admin.acl_setuser(
        "worker", enabled=True, passwords=["+secret"], channels=["requests", "results*"],
        keys=["requests*", "results*"], commands=["+@all"], reset=True,
    )  # fmt: skip
    url = f"redis://worker:secret@127.0.0.1:{server.port}/0"
    admin.set("results_of_another_kind", "text")
    listener = Listener(admin, "results", "results_errors", "private")
    channels = mode == "pubsub"
    try:
        with server.worker("--redis_url", url, "--redis_mode", mode) as worker:
            if channels:
                wait_until(lambda: admin.pubsub_numpat() > 0 or worker.poll() is not None)
            for text in (message(id="bad", reply_to=reply_to), message(id="good")):
                admin.publish("requests", text) if channels else admin.xadd("requests", {"data": text})
            if channels:
                got = {
                    answer["id"]: (answer["channel"], answer)
                    for answer in listener.answers(1 if reply_to == "results_of_another_kind" else 2, timeout=20)
                }
            else:
                wait_until(lambda: worker.poll() is not None or (admin.xlen("results") and not pending(admin)))
                found = [(name, answer) for name in ("results", "results_errors") for answer in entries(admin, name)]
                got = {answer["id"]: (name, answer) for name, answer in found}
            assert worker.poll() is None
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=20)
        assert worker.returncode == 0, said
        assert got["good"][0] == "results"
        if not (channels and reply_to == "results_of_another_kind"):  # a channel of that name is a good one
            assert (got["bad"][0], got["bad"][1]["error"]["code"]) == ("results_errors", "bad_prompt")
        assert admin.exists("private") == 0
    finally:
        listener.close()
        admin.close()
        server.stop()


def pending(client):
    return client.xpending("requests", "maskworks")["pending"]


def test_links_in_the_input_folder_are_taken_away_and_their_targets_are_not(folders, tmp_path):
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(encoded())
    folders.add("a.png")
    (folders.inputs / "a.png").unlink()
    (folders.inputs / "a.png").symlink_to(elsewhere)
    assert folders.run_here("--delete_input")[0] == 0
    assert list(folders.inputs.iterdir()) == []
    assert elsewhere.read_bytes() == encoded()


def test_links_lead_to_their_images_wherever_they_are_moved(folders):
    photos = folders.root / "photos"
    photos.mkdir()
    for stem in ("good", "bad"):
        folders.add(f"{stem}.png", prompt=PROMPT if stem == "good" else b"{}")
        for path in folders.inputs.glob(f"{stem}.*"):
            path.rename(photos / path.name)
            path.symlink_to(f"../photos/{path.name}")
    code, said = folders.run_here()
    assert code == 3, said
    for stem, folder in (("good", folders.out), ("bad", folders.failed)):
        for name in (f"{stem}.png", f"{stem}.points"):
            assert (folder / name).is_symlink()
            assert (folder / name).samefile(photos / name)


def test_an_id_is_no_file_name(tmp_path):
    """The client that saves answers names files itself, whatever stands in them."""
    text = json.dumps({"error": {"code": "bad_image", "message": "no"}, "id": "../../escaped"}).encode()
    prefix = argparse.Namespace(output_dir=tmp_path / "out", file_prefix="got")
    prefix.output_dir.mkdir()
    assert not clients._save(text, prefix, None)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["got.error.json"]


def test_a_server_listens_to_its_own_machine_only():
    server = HttpProcess()
    addresses = {line.rpartition(" ")[2] for line in listening(server.port)}
    assert server.stop() == 0
    assert addresses
    assert addresses <= {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1


def listening(port):
    """For each socket of this machine that listens at a port its kind and address, as the kernel writes them."""
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                yield f"{table} {address}"


def test_metrics_are_for_this_machine_unless_told_otherwise():
    assert MetricsConfig().metrics_host == "127.0.0.1"


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda *two: compared.append(two))
    request = HTTPConnection({"type": "http", "headers": [(b"authorization", b"Bearer shown")]})
    with pytest.raises(Unauthorized):
        check_token(request, "right")
    assert compared == [(b"shown", b"right")]
