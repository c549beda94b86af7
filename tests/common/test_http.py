"""Predictions over HTTP: a real server, real clients."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.http_process import HttpProcess, form, pixels
from tests.support.samples import PROMPT, encoded, picture
from tests.support.workplace import wait_until

RING = [[4, 4], [4, 12], [12, 12], [12, 4]]
OPEX = "application/vnd.opex+json"


@pytest.fixture(scope="module")
def server():
    process = HttpProcess("--batch_size", "4")
    yield process
    assert process.stop() == 0, process.said


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def message(**keys):
    return {"image": base64.b64encode(encoded()).decode(), **json.loads(PROMPT), **keys}


def test_three_forms_of_a_request_have_one_answer(client):
    prompt = json.loads(PROMPT)
    answers = [
        client.post("/predict", files=form()),
        client.post("/predict", content=encoded(), params={"prompt": PROMPT.decode()}),
        client.post("/predict", json=message()),
        client.post("/predict", json={"image": message()["image"], "prompt": json.loads(PROMPT)}),
    ]
    for answer, echo in zip(answers, (prompt, prompt, {**prompt, "label": 1}, prompt), strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        reply = answer.json()
        assert reply["contours"] == [RING]
        assert reply["meta"]["prompt"] == echo
        assert reply["meta"]["segmenter"] == {"type": "bright"}
        assert "id" not in reply
        assert pixels(base64.b64decode(reply["mask"])).sum() == 81


def test_names_come_back(client):
    assert client.post("/predict?id=cup", files=form()).json()["id"] == "cup"
    assert client.post("/predict", json=message(id="cup")).json()["id"] == "cup"
    assert client.post("/predict?id=cup", files=form(b"")).json()["id"] == "cup"
    assert client.post("/predict", json=message(id="cup", image="")).json()["id"] == "cup"


def test_the_answer_is_what_the_client_accepts(client):
    opex = client.post("/predict?id=cup", files=form(), headers={"Accept": OPEX})
    assert opex.headers["content-type"] == OPEX
    assert opex.json()["objects"][0]["polygon"]["points"] == RING
    assert opex.json()["id"] == "cup"
    mask = client.post("/predict", files=form(prompt=b'{"points":[[8,4],[4,8],[12,8],[8,12]],"label":7}'),
                       headers={"Accept": "image/png, */*;q=0.1"})  # fmt: skip
    assert mask.headers["content-type"] == "image/png"
    assert pixels(mask.content).max() == 7
    lines = [("Accept", "text/html"), ("Accept", "image/png")]
    assert client.post("/predict", files=form(), headers=lines).headers["content-type"] == "image/png"
    refused = client.post("/predict", files=form(), headers={"Accept": "text/html"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (406, "not_acceptable")


def test_answers_are_compressed_for_those_who_take_that(client):
    plain = client.post("/predict", files=form(), headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("POST", "/predict", files=form(), headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(b"".join(answer.iter_raw())))["contours"] == [RING]
    mask = client.post("/predict", files=form(), headers={"Accept": "image/png", "Accept-Encoding": "gzip"})
    assert "content-encoding" not in mask.headers


def test_curl_sends_it_in_each_way(server, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded())
    (tmp_path / "a.points").write_bytes(PROMPT)
    url = f"{server.url}/predict"
    for flags in (
        ["-F", "image=@a.png", "-F", "prompt=@a.points", url],
        ["-F", "image=@a.png", "-F", f"prompt={PROMPT.decode()}", url],
        ["--data-binary", "@a.png", f"{url}?prompt=%7B%22points%22:%5B%5B8,4%5D,%5B4,8%5D,%5B12,8%5D,%5B8,12%5D%5D%7D"],
    ):
        done = subprocess.run(["curl", "-sS", "-g", "--fail", *flags], cwd=tmp_path, capture_output=True, check=True)
        assert json.loads(done.stdout)["contours"] == [RING]


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        ({"content": b""}, 400, "bad_image"),
        ({"content": b"no image"}, 400, "bad_image"),
        ({"content": encoded()[:60]}, 400, "bad_image"),
        ({"files": form(b"no image")}, 400, "bad_image"),
        ({"files": {"prompt": (None, PROMPT)}}, 400, "bad_image"),
        ({"files": {"image": ("a.png", encoded())}}, 400, "bad_prompt"),
        ({"files": form(prompt=b"{")}, 400, "bad_json"),
        ({"files": form(prompt=b'{"points": [[1, "2"], [3, 4], [5, 6], [7, 8]]}')}, 400, "bad_prompt"),
        ({"files": form(prompt=b'{"box":{"x0":1,"y0":1,"x1":9,"y1":9},"label":66}')}, 500, "internal"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "bad_json"),
        ({"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 400, "bad_json"),
        ({"json": {"image": 5}}, 400, "bad_prompt"),
        ({"json": message(image="%%%")}, 400, "bad_image"),
        ({"json": message(id=5.5)}, 400, "bad_json"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, "bad_image"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_image"),
    ],
)
def test_what_is_wrong_is_said(client, request_of, status, code):
    request_of = {**request_of, "params": {} if "content" not in request_of else {"prompt": PROMPT.decode()}}
    answer = client.post("/predict", **request_of)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.json()["error"]["message"]
    assert "Traceback" not in answer.text
    assert client.post("/predict", files=form()).status_code == 200


def test_paths_and_methods_that_do_not_exist(client):
    for answer, status, code in [
        (client.get("/nothing"), 404, "not_found"),
        (client.get("/predict"), 405, "method_not_allowed"),
        (client.post("/health"), 405, "method_not_allowed"),
    ]:
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_many_clients_at_once_get_their_own_answers(server):
    def one(index):
        value, label = 100 + 100 * (index % 2), 1 + index % 60
        box = b'{"box":{"x0":4,"y0":4,"x1":12,"y1":12},"label":%d}' % label
        image = encoded(picture(value, (20 + index % 50, 16)))
        return index, client.post(f"/predict?id={index}", files=form(image, box))

    with server.client(limits=httpx.Limits(max_connections=50)) as client, ThreadPoolExecutor(50) as pool:
        for index, answer in pool.map(one, range(200)):
            reply = answer.json()
            mask = pixels(base64.b64decode(reply["mask"]))
            assert answer.status_code == 200
            assert reply["id"] == str(index)
            assert mask.shape == (16, 20 + index % 50)
            assert mask.max() == (1 + index % 60 if index % 2 else 0)


def test_health_readiness_and_metrics(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    client.post("/predict", files=form())
    client.post("/predict", files=form(b""))
    # An answer is counted after its client has it.
    for line in (
        'maskworks_errors_total{code="bad_image"}',
        'maskworks_http_answers_total{status="200"}',
        'maskworks_http_answers_total{status="400"}',
        'maskworks_stage_seconds_bucket{le="+Inf",stage="predict"}',
    ):
        wait_until(lambda line=line: line in client.get("/metrics").text)


def test_the_description_names_every_path_and_every_reference_is_there(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/predict", "/health", "/ready", "/metrics"}
    operation = document["paths"]["/predict"]["post"]
    assert set(operation["requestBody"]["content"]) == {"image/*", "multipart/form-data", "application/json"}
    assert set(operation["responses"]["200"]["content"]) == {"application/json", OPEX, "image/png"}
    for reference in references(document):
        value = document
        for key in reference.removeprefix("#/").split("/"):
            value = value[key]


def references(value):
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.slow("starts processes")
def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Bright</title>" in page.text
    assert 'data-prompts="points box"' in page.text
    assert "%" + "title%" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
