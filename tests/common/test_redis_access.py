"""How a worker gets to a guarded server: TLS, users with few rights, a Unix socket. The secrets stay secret."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
import redis

from maskworks.config import RedisServerConfig
from maskworks.errors import TransportError
from maskworks.transports.redis.server import RedisServer
from tests.support.redis_process import SERVER, Listener, RedisProcess, message
from tests.support.workplace import WORKER, wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts processes"),
]

SECRET = "hunter2"


def answered(server, client, *flags):
    """Sends a request through a worker with these flags; the id in its answer, and what the worker said."""
    listener = Listener(client, "results", "results_errors")
    with server.worker(*flags) as worker:
        wait_until(lambda: client.pubsub_numpat() > 0 or worker.poll() is not None)
        client.publish("requests", message(id="one"))
        answers = listener.answers(1, timeout=10)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=20)
    listener.close()
    client.close()
    assert answers, said
    assert SECRET not in said
    return answers[0]["id"], said


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths


def tls_only(process, certificate):
    """A server that speaks TLS only, at the port that was found free."""
    cert, key = map(str, certificate)
    process.stop()
    process.flags += ("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
    process.flags += ("--tls-auth-clients", "no", "--tls-replication", "yes")
    process.flags += ("--port", "0", "--tls-port", str(process.port))
    process.start()
    return process


@pytest.fixture
def tls_server(tmp_path, certificate):
    process = tls_only(RedisProcess(tmp_path), certificate)
    yield process
    process.stop()


def test_tls_with_the_certificate_named(tls_server, certificate):
    cert = str(certificate[0])
    client = redis.Redis("127.0.0.1", tls_server.port, ssl=True, ssl_ca_certs=cert)
    url = f"rediss://127.0.0.1:{tls_server.port}/0?ssl_ca_certs={cert}"
    assert answered(tls_server, client, "--redis_url", url)[0] == "one"


def test_tls_with_a_certificate_that_nobody_vouches_for(tls_server):
    url = f"rediss://:{SECRET}@127.0.0.1:{tls_server.port}/0"
    with tls_server.worker("--redis_url", url, "--redis_give_up", "1") as worker:
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 4, said
    assert "certificate" in said
    assert SECRET not in said
    assert "Traceback" not in said


@pytest.mark.slow("starts processes")
def test_tls_with_sentinels(tls_server, certificate, tmp_path):
    cert = str(certificate[0])
    (tmp_path / "sentinel.conf").write_text(f"sentinel monitor main 127.0.0.1 {tls_server.port} 1\n")
    sentinel = tls_only(RedisProcess(tmp_path, "--sentinel", config=tmp_path / "sentinel.conf"), certificate)
    try:
        client = redis.Redis("127.0.0.1", tls_server.port, ssl=True, ssl_ca_certs=cert)
        url = f"rediss+sentinel://127.0.0.1:{sentinel.port}/main/0?ssl_ca_certs={cert}"
        assert answered(tls_server, client, "--redis_url", url)[0] == "one"
    finally:
        sentinel.stop()


def test_a_user_who_may_do_no_more_than_needed(server):
    admin = server.client()
    admin.acl_setuser(
        "worker", enabled=True, passwords=[f"+{SECRET}"], channels=["requests", "results*"],
        commands=["+ping", "+psubscribe", "+publish"], reset=True,
    )  # fmt: skip
    url = f"redis://worker:{SECRET}@127.0.0.1:{server.port}/0"
    assert answered(server, admin, "--redis_url", url)[0] == "one"


def test_a_user_who_may_not_listen_is_told_so(server):
    server.client().acl_setuser("worker", enabled=True, passwords=[f"+{SECRET}"], commands=["+ping"], reset=True)
    with server.worker("--redis_url", f"redis://worker:{SECRET}@127.0.0.1:{server.port}/0") as worker:
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 1, said
    assert "refuses" in said
    assert SECRET not in said


@pytest.mark.parametrize("place", ["localhost:port/0", f":12/{SECRET}@localhost", "localhost?decode_responses=True"])
def test_a_url_that_cannot_be_used(server, place):
    with server.worker("--redis_url", f"redis://{place}") as worker:
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 2, said
    assert "--redis_url: " in said
    assert SECRET not in said


@pytest.mark.parametrize("full", [False, True])
def test_a_user_of_streams_who_may_do_no_more_than_needed(server, full):
    admin = server.client()
    commands = [
        "+ping", "+xreadgroup", "+xgroup", "+xadd", "+xack", "+xdel", "+xpending", "+xclaim", "+xautoclaim", "+xinfo",
        "+xrange", "+xlen", "+multi", "+exec", *["+eval"] * full,
    ]  # fmt: skip
    admin.acl_setuser(
        "worker", enabled=True, passwords=[f"+{SECRET}"], keys=["requests*", "results*"], commands=commands, reset=True
    )
    admin.xadd("requests", {"data": message(id="one")})
    admin.config_set("maxmemory", "100kb" if full else 0)
    url = f"redis://worker:{SECRET}@127.0.0.1:{server.port}/0"
    with server.worker("--redis_url", url, "--redis_mode", "stream") as worker:
        wait_until(lambda: admin.xlen("results") == 1)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 0, said
    assert SECRET not in said
    admin.close()


def test_a_unix_socket(tmp_path):
    path = tmp_path / "redis.sock"
    server = RedisProcess(tmp_path, "--unixsocket", str(path))
    try:
        assert answered(server, server.client(), "--redis_url", f"unix://{path}")[0] == "one"
    finally:
        server.stop()


def test_a_password_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_SECRET", SECRET)
    server = RedisProcess(tmp_path, "--requirepass", SECRET)
    try:
        client = server.client(password=SECRET)
        name, _ = answered(server, client, "--redis_password_env", "REDIS_SECRET", "--verbose")
        assert name == "one"
    finally:
        server.stop()


@pytest.mark.parametrize(("in_url", "in_environment"), [("", SECRET), (f":{SECRET}@", "wrong")])
def test_a_password_beside_a_url(tmp_path, monkeypatch, in_url, in_environment):
    monkeypatch.setenv("REDIS_SECRET", in_environment)
    server = RedisProcess(tmp_path, "--requirepass", SECRET)
    try:
        url = f"redis://{in_url}127.0.0.1:{server.port}/0"
        flags = ["--redis_url", url, "--redis_password_env", "REDIS_SECRET"]
        assert answered(server, server.client(password=SECRET), *flags)[0] == "one"
    finally:
        server.stop()


def test_a_password_is_not_in_the_help():
    flags = ["--redis_password", SECRET, "--help"]
    environment = {**os.environ, "BRIGHT_COMMAND": "redis"}
    shown = subprocess.run(
        [sys.executable, str(WORKER), *flags], capture_output=True, text=True, check=True, env=environment
    )
    assert "--redis_password" in shown.stdout
    assert SECRET not in shown.stdout + shown.stderr


def test_a_database_that_is_not_there_is_an_error_of_ours(server):
    with pytest.raises(TransportError, match="out of range"):
        RedisServer(RedisServerConfig(redis_port=server.port, redis_db=99), threading.Event()).check()
