"""What comes in the body of a request: its type, its encoding, its parts. A real server, and clients as they are."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import zlib
from pathlib import Path

import pytest

from maskworks.transports.http.multipart import read_parts
from tests.support.http_process import HttpProcess, form
from tests.support.samples import PROMPT, encoded

RING = [[4, 4], [4, 12], [12, 12], [12, 4]]
MESSAGE = json.dumps({"image": base64.b64encode(encoded()).decode(), **json.loads(PROMPT)}).encode()
TYPES = ["application/json", "application/vnd.api+json", "text/plain", "application/octet-stream", "image/png",
         "application/x-www-form-urlencoded", "multipart/form-data", ""]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    process = HttpProcess("--max_bytes", "200000", "--queue_bytes", "2000000")
    yield process
    assert process.stop() == 0, process.said


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def ask(client, body, content_type="", query="", **headers):
    """The status of the answer, and what it says."""
    more = {"Content-Type": content_type} if content_type else {}
    answer = client.post(f"/predict{query}", content=body, headers={**more, **headers})
    return answer.status_code, answer.json()


def error_of(answer):
    status, said = answer
    return status, said["error"]["code"], said["error"]["message"]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b" \r\n\t"])
def test_a_message_is_one_whatever_its_type(client, content_type, start):
    status, said = ask(client, start + MESSAGE, content_type)
    assert (status, said.get("contours")) == (200, [RING]), said


@pytest.mark.parametrize("content_type", [kind for kind in TYPES if not kind.startswith("multipart")])
def test_an_image_file_is_one_whatever_its_type(client, content_type):
    status, said = ask(client, encoded(), content_type, f"?prompt={PROMPT.decode()}")
    assert (status, said.get("contours")) == (200, [RING]), said


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"image=%89PNG&prompt=x", "application/x-www-form-urlencoded", "form fields"),
        (b"image=@cup.jpg", "application/x-www-form-urlencoded", "-F instead of -d"),
        (b"<image/>", "text/xml", "no image file"),
        (b"[1, 2]", "text/plain", "no image file"),
        (b"x", "multipart/mixed; boundary=x", "expected multipart/form-data with its boundary"),
        (b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--x--\r\n', "text/plain", "in parts"),
        (b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--x--\r\n', "", "in parts"),
    ],
)
def test_what_is_neither_is_of_an_unsupported_type(client, body, content_type, expected):
    status, code, message = error_of(ask(client, body, content_type))
    assert (status, code) == (415, "unsupported_media_type")
    assert expected in message
    assert "points: missing" not in message


def test_files_that_no_type_speaks_against_are_bad_images(client):
    for content_type in ("", "image/png", "application/octet-stream"):
        assert error_of(ask(client, b"no image", content_type))[:2] == (400, "bad_image")


def test_base64_in_place_of_a_file_is_said(client):
    text = base64.encodebytes(encoded())
    for answer in (client.post("/predict", content=text), client.post("/predict", files=form(text))):
        assert answer.json()["error"]["code"] == "bad_image"
        assert "text in base64; expected the bytes of the file" in answer.json()["error"]["message"]


def test_the_parts_that_are_there_are_named(client):
    answer = client.post("/predict", files={"file": encoded(), "prompt": (None, PROMPT)})
    assert 'no part named "image", but file, prompt; expected' in answer.json()["error"]["message"]


def test_a_large_message_may_be_of_any_type(client):
    """Base64 is larger than the file, so the limit on files is not the one on messages."""
    image = encoded() + bytes(180_000)
    message = json.dumps({"image": base64.b64encode(image).decode(), **json.loads(PROMPT)}).encode()
    assert len(message) > 200_000
    for content_type in ("application/json", "text/plain"):
        assert ask(client, message, content_type)[0] == 200


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP", "gzip, identity", "identity"])
def test_bodies_may_be_compressed(client, name):
    kinds = [
        (MESSAGE, "application/json", ""), (encoded(), "image/png", f"?prompt={PROMPT.decode()}"),
    ]  # fmt: skip
    for body, content_type, query in kinds:
        sent = body if name == "identity" else gzip.compress(body)
        status, said = ask(client, sent, content_type, query, **{"Content-Encoding": name})
        assert (status, said.get("contours")) == (200, [RING]), said


def test_members_of_gzip_follow_each_other(client):
    parts = gzip.compress(MESSAGE[:50]) + gzip.compress(b"") + gzip.compress(MESSAGE[50:]) + bytes(20)
    assert ask(client, parts, **{"Content-Encoding": "gzip"})[0] == 200


def test_a_compressed_form_and_pieces(client):
    request = client.build_request("POST", "/predict", files=form())
    body = gzip.compress(request.read())
    headers = {"Content-Type": request.headers["content-type"], "Content-Encoding": "gzip"}
    answer = client.post("/predict", content=iter([body[start : start + 7] for start in range(0, len(body), 7)]),
                         headers=headers)  # fmt: skip
    assert answer.json()["contours"] == [RING]


@pytest.mark.parametrize("name", ["br", "deflate", "zstd", "gzip, gzip", "compress"])
def test_other_encodings_are_refused(client, name):
    status, code, message = error_of(ask(client, MESSAGE, "application/json", **{"Content-Encoding": name}))
    assert (status, code) == (415, "unsupported_media_type")
    assert "expected gzip, or none" in message


@pytest.mark.parametrize("body", [gzip.compress(MESSAGE)[:-9], b"no gzip", gzip.compress(MESSAGE) + b"rest",
                                  zlib.compress(MESSAGE)])  # fmt: skip
def test_broken_gzip_is_said(client, body):
    status, code, message = error_of(ask(client, body, "application/json", **{"Content-Encoding": "gzip"}))
    assert (status, code) == (400, "bad_request")
    assert "Content-Encoding: gzip" in message


@pytest.mark.slow("packs and sends large bodies")
def test_bombs_end_at_the_limit(server, client):
    """A kilobyte becomes a megabyte."""
    bomb, before = gzip.compress(bytes(150_000_000)), peak_of(server)
    assert len(bomb) < 200_000
    for content_type in ("application/json", "text/plain", "image/png"):
        status, code, _ = error_of(ask(client, bomb, content_type, **{"Content-Encoding": "gzip"}))
        assert (status, code) == (413, "image_too_large")
    assert peak_of(server) < before + 50_000
    assert ask(client, MESSAGE, "application/json")[0] == 200


def peak_of(server):
    """The most memory that a server has had, in kilobytes."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_integers_and_strings_as_ids_come_back_as_they_came(client):
    for name in (17, -3, 2**64 - 1, "17", ""):
        message = {**json.loads(MESSAGE), "id": name}
        assert client.post("/predict", json=message).json()["id"] == name
        assert client.post("/predict", json={**message, "image": ""}).json()["id"] == name
    assert client.post("/predict", json={**message, "id": 17}, headers={"Accept": "application/vnd.opex+json"}).json()[
        "id"
    ] == "17"  # fmt: skip
    for parts in (form(), form(b"")):
        assert client.post("/predict", files={**parts, "id": (None, "cup é")}).json()["id"] == "cup é"
        assert client.post("/predict?id=query", files={**parts, "id": (None, "part")}).json()["id"] == "part"
        assert client.post("/predict?id=query", files=parts).json()["id"] == "query"
    message["id"] = "own"
    assert client.post("/predict?id=query", json=message).json()["id"] == "own"
    assert client.post("/predict?id=query", json={**message, "image": ""}).json()["id"] == "own"


def test_parts_and_parameters_that_nobody_reads_are_told(client):
    reply = client.post("/predict?t=1", files={**form(), "note": (None, "x"), "label": (None, "3")}).json()
    assert sorted(reply["meta"]["ignored"]) == ["?t", "label", "note"]
    reply = client.post("/predict", params={"prompt": "{}"}, files=form()).json()
    assert reply["meta"]["ignored"] == ["?prompt"]
    prompt = json.dumps({**json.loads(PROMPT), "user": 1})
    assert client.post("/predict", files=form(prompt=prompt.encode())).json()["meta"]["ignored"] == ["prompt.user"]
    reply = client.post("/predict", content=encoded(), params={"prompt": prompt}).json()
    assert reply["meta"]["ignored"] == ["prompt.user"]
    assert "ignored" not in client.post("/predict?id=1", files={**form(), "id": (None, "x")}).json()["meta"]


@pytest.mark.parametrize("name", ["points", "box", "bbox", "point_coords", "objects", "mask_choice"])
def test_parts_and_parameters_that_look_like_a_prompt_are_refused(client, name):
    value = "[[8,4],[4,8],[12,8],[8,12]]"
    for answer in (
        client.post("/predict", files={"image": encoded(), name: (None, value)}),
        client.post("/predict", files={**form(), name: (None, value)}),
        client.post("/predict", files=form(), params={name: value}),
        client.post("/predict", content=encoded(), params={name: value, "prompt": PROMPT.decode()}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_prompt"), answer.text
        assert name in answer.json()["error"]["message"]
        assert "missing" not in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("flags", "code", "hint"),
    [
        (["-F", "image=photo.jpg", "-F", f"prompt={PROMPT.decode()}"], "bad_image", "-F image=@photo.jpg"),
        (["-F", "image=@a.png", "-F", "prompt=cup.points"], "bad_json", "-F prompt=@cup.points"),
        (["--data-binary", "photo.jpg"], "bad_image", "-F image=@photo.jpg"),
        (["-d", "image=@photo.jpg"], "unsupported_media_type", "-F instead of -d"),
        (["-F", "image=data:image/png;base64,AAAA"], "bad_image", "a data: URL"),
    ],
)
def test_curl_without_its_at_sign(server, tmp_path, flags, code, hint):
    (tmp_path / "a.png").write_bytes(encoded())
    done = subprocess.run(
        ["curl", "-sS", "-g", *flags, f"{server.url}/predict"], cwd=tmp_path, capture_output=True, check=True
    )
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert hint in error["message"]


def parts_of(newline, before=b"", after=b""):
    """A form with an image in base64 and a prompt in quoted-printable."""
    image = base64.encodebytes(encoded()).replace(b"\n", newline)
    lines = [
        b"--x", b'Content-Disposition: form-data; name="image"', b"Content-Transfer-Encoding: BASE64", b"",
        image, b"--x  ", b'Content-Disposition: form-data;', b'  name="prompt"',
        b"Content-Transfer-Encoding: quoted-printable", b"", PROMPT.replace(b"[", b"=5B"), b"--x--", after,
    ]  # fmt: skip
    return before + newline.join(lines)


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b"This is a form.\r\n\r\n", b"end"), (b"\r\n", b""), (b"{a preamble\n", b"\r\n")]
)
def test_forms_as_mail_programs_write_them(client, newline, before, after):
    body = parts_of(newline, before, after)
    status, said = ask(client, body, 'multipart/form-data; boundary="x"')
    assert (status, said.get("contours")) == (200, [RING]), said


def test_parts_in_bare_lines_are_exact():
    content = b"\r\n--x\r\n\r" + bytes(range(256)) + b"\r"
    body = b'--x\nContent-Disposition: form-data; name="a"\n\n' + content + b"\n--x--\n"
    assert read_parts(body, "multipart/form-data; boundary=x") == {"a": content}
    content = b"\n--x\n--x--\n" + bytes(range(256)) + b"\n"
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + content + b"\r\n--x--\r\n"
    assert read_parts(body, "multipart/form-data; boundary=x") == {"a": content}
