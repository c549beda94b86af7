"""POST /model/ as the first server's clients send it and read it, in real processes."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from maskworks_tensormask.image_text import write_image
from tests.support.http_process import HttpProcess, read_answer
from tests.support.samples import encoded

pytestmark = pytest.mark.slow("starts commands with a model")

ROOT = Path(__file__).resolve().parents[2]
TINY = [sys.executable, str(ROOT / "tests" / "support" / "tensormask_tiny_server.py")]


@pytest.fixture(scope="module")
def server():
    process = HttpProcess("--batch_size", "4", "--max_bytes", "3000000", command=TINY)
    yield process
    assert process.stop() == 0, process.said


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def picture(height=40, width=60, squares=((5, 5), (20, 30))):
    """Reddish squares of 10 pixels on a bluish ground, RGB."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = (10, 20, 30)
    for y, x in squares:
        image[y : y + 10, x : x + 10] = (200, 100, 50)
    return image


def saved(answer: httpx.Response) -> dict[str, torch.Tensor]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers
    return torch.load(BytesIO(gzip.decompress(answer.content)), weights_only=True)


def test_the_answer_has_masks_scores_boxes_and_classes(client):
    found = saved(client.post("/model/", content=write_image(picture())))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in found.items()} == {
        "pred_masks": (torch.bool, (2, 40, 60)),
        "scores": (torch.float32, (2,)),
        "pred_boxes": (torch.float32, (2, 4)),
        "pred_classes": (torch.int64, (2,)),
    }
    assert found["pred_boxes"].tolist() == [[5, 5, 15, 15], [30, 20, 40, 30]]
    assert found["pred_classes"].tolist() == [1, 1]
    assert found["scores"].tolist() == pytest.approx([0.99, 0.98])
    assert found["pred_masks"].sum((1, 2)).tolist() == [100, 100]
    assert found["pred_masks"][1, 20:30, 30:40].all()


def test_nothing_found_is_an_answer(client):
    found = saved(client.post("/model/", content=write_image(picture(squares=()))))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "pred_masks": (0, 40, 60), "scores": (0,), "pred_boxes": (0, 4), "pred_classes": (0,),
    }  # fmt: skip


def test_the_first_servers_own_lines_work_as_printed(server, tmp_path):
    """prepare_input.py, curl with its misspelt header, then gzip and torch.load."""
    Image.fromarray(picture()).save(tmp_path / "image.png")
    script = ROOT / "tensormask" / "prepare_input.py"
    subprocess.run([sys.executable, script, "image.png", "input_json_file.json"], cwd=tmp_path, check=True)
    sent = np.array(json.loads((tmp_path / "input_json_file.json").read_bytes())["img_data"])
    np.testing.assert_array_equal(sent.transpose(1, 2, 0), cv2.imread(str(tmp_path / "image.png")))
    subprocess.run(
        ["curl", "-sS", f"{server.url}/model/", "--data", "@input_json_file.json", "--output", "saved_file.gzip",
         "-H", "Content-Type:application/json; chartset=utf-8"],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    with gzip.open(tmp_path / "saved_file.gzip", "rb") as fobj:
        x = BytesIO(fobj.read())
        preds_dict = torch.load(x)
    assert preds_dict["pred_masks"].shape == (2, 40, 60)


def test_prepare_input_says_what_is_wrong(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    (tmp_path / "good.png").write_bytes(encoded())
    for image, out, code, said in [
        ("broken.png", "out.json", 1, "not of a known format"),
        ("missing.png", "out.json", 2, "missing.png: No such file"),
        ("good.png", "/dev/full", 2, "/dev/full: No space left on device"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "maskworks_tensormask.prepare_input", image, out],
            cwd=tmp_path, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code
        assert said in done.stderr
        assert not (tmp_path / "out.json").exists()


BAD = [
    (b"", "bad_json"),
    (b"no json", "bad_json"),
    (b"\xff\xfe\x00", "bad_json"),
    (b'{"img_data": [[[1, 2], [3]], [[1, 2], [3, 4]], [[1, 2], [3, 4]]]}', "bad_image"),
    (b'{"img_data": [[[1, 256]], [[1, 2]], [[1, 2]]]}', "bad_image"),
    (b'{"img_data": [[[1, -1]], [[1, 2]], [[1, 2]]]}', "bad_image"),
    (b'{"img_data": [[[1, 2.5]], [[1, 2]], [[1, 2]]]}', "bad_image"),
    (b'{"img_data": [[[1, 2]], [[1, 2]]]}', "bad_image"),
    (b'{"img_data": [[], [], []]}', "bad_image"),
    (b'{"img_data": [[[]], [[]], [[]]]}', "bad_image"),
    (b"{}", "bad_image"),
    (b"[]", "bad_json"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
def test_what_is_wrong_is_said(client, body, code):
    answer = client.post("/model/", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert "Traceback" not in answer.text
    assert len(saved(client.post("/model/", content=write_image(picture())))["scores"]) == 2


def test_ten_gigabytes_are_refused(server):
    with server.connect() as connection:
        connection.sendall(b"POST /model/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10737418240\r\n\r\n{")
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"image_too_large" in answer


def test_good_and_bad_requests_at_once(server):
    work = [(index, None) for index in range(100)] + [(index, BAD[index % len(BAD)]) for index in range(100)]
    random.Random(5).shuffle(work)

    def send(item):
        index, bad = item
        if bad is not None:
            return item, client.post("/model/", content=bad[0])
        image = picture(30 + index, 70, squares=((5, 5), (15, index % 50)) if index % 3 else ())
        return item, client.post("/model/", content=write_image(image))

    with server.client(limits=httpx.Limits(max_connections=200)) as client, ThreadPoolExecutor(200) as pool:
        for (index, bad), answer in pool.map(send, work):
            if bad is not None:
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, bad[1])
                continue
            masks = saved(answer)["pred_masks"]
            assert masks.shape[1:] == (30 + index, 70)
            assert masks[:, 15:25, index % 50 : index % 50 + 10].any() == bool(index % 3)


def test_predict_is_there_too(client):
    file = BytesIO()
    Image.fromarray(picture()).save(file, "PNG")
    answer = client.post("/predict", content=file.getvalue(), headers={"Accept": "application/vnd.opex+json"})
    assert [found["score"] for found in answer.json()["objects"]] == [0.99, 0.98]
    assert client.post("/predict", content=encoded()).json()["contours"] == []
    assert set(client.get("/openapi.json").json()["paths"]) >= {"/predict", "/model/"}
    assert 'data-prompts=""' in client.get("/").text
