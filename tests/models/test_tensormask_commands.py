"""tensormask_predict_poll, _redis and tensormask_train with the original's small network."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sysconfig
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskworks.commands import poll
from maskworks_tensormask import train_command
from maskworks_tensormask.cli import MODEL as TENSORMASK
from tensormask.model import TensorMask
from tests.support.commands import run_here
from tests.support.redis_process import SERVER, Listener, RedisProcess, mask_of, message
from tests.support.workplace import wait_until

pytestmark = pytest.mark.slow("starts commands with a model")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tensormask"
SCRIPTS = Path(sysconfig.get_path("scripts"))
MODEL = ["--model", str(GOLDEN / "model.safetensors"), "--config", str(GOLDEN / "configs" / "tiny.yaml")]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(GOLDEN / "im0.png", tmp_path / "in" / "a.png")
    return tmp_path


def run(folder, *flags, model=MODEL):
    """Exit code and what the command said, for the folders `in` and `out` of `folder`."""
    return run_here(partial(poll.predict_poll, TENSORMASK), *folders(folder), *model, *flags)


def start(folder, *flags):
    """The same in a process of its own."""
    command = [SCRIPTS / "tensormask_predict_poll", *folders(folder), *MODEL, *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def folders(folder):
    return "--prediction_in", folder / "in", "--prediction_out", folder / "out"


def expected(name="im0", threshold=0.5):
    model = TensorMask.from_files(GOLDEN / "configs" / "tiny.yaml", GOLDEN / "model.safetensors").prepare()
    with Image.open(GOLDEN / f"{name}.png") as image:
        return model.predict([np.asarray(image.convert("RGB"))], threshold=threshold)[0]


def numbered(masks):
    """At each pixel the number of the object that lies on top there, which is the one with the highest score."""
    image = np.zeros(masks.shape[1:], np.uint8)
    for index in reversed(range(len(masks))):
        image[masks[index]] = index + 1
    return image


def test_a_folder_with_a_good_and_a_broken_image(folder):
    (folder / "in" / "b.png").write_bytes(b"no image")
    code, said = start(folder, "--threshold", "0.8", "--precision", "fp32", "--incomplete_wait", "0.1", "--overlay")
    assert code == 3, said
    result = expected(threshold=0.8)
    opex = json.loads((folder / "out" / "a.json").read_bytes())
    facts = json.loads(opex["meta"]["objects"])
    assert len(facts) == len(result.scores) > 0
    np.testing.assert_allclose([fact["score"] for fact in facts], result.scores, atol=1e-3)
    assert {entry["label"] for entry in opex["objects"]} <= {"0", "1", "2"}
    assert json.loads(opex["meta"]["segmenter"]) == {"type": "tensormask", "model_file": "model.safetensors"}
    with Image.open(folder / "out" / "a-mask.png") as mask:
        np.testing.assert_array_equal(np.array(mask), numbered(result.masks))
    assert json.loads((folder / "out" / "failed" / "b.error.json").read_bytes())["error"]["code"] == "bad_image"


def test_names_of_classes(folder):
    (folder / "names.txt").write_text("cup\nspoon\nplate\n")
    assert run(folder, "--threshold", "0.8", "--classes", str(folder / "names.txt"))[0] == 0
    opex = json.loads((folder / "out" / "a.json").read_bytes())
    assert {entry["label"] for entry in opex["objects"]} <= {"cup", "spoon", "plate"}


def test_nothing_found_is_an_empty_result(folder):
    assert run(folder, "--threshold", "0.99999")[0] == 0
    assert json.loads((folder / "out" / "a.json").read_bytes())["objects"] == []


@pytest.mark.parametrize(
    ("flags", "model", "code", "words"),
    [
        ([], ["--model", "nowhere.pkl", *MODEL[2:]], 5, "nowhere.pkl"),
        ([], ["--model", __file__, *MODEL[2:]], 5, "test_tensormask_commands.py"),
        ([], [*MODEL[:2], "--config", "nowhere.yaml"], 2, "nowhere.yaml"),
        ([], [*MODEL[:2], "--config", str(GOLDEN / "config_dump_6x.yaml")], 5, "weights are missing"),
        (["--classes", __file__], MODEL, 2, "--classes"),
        (["--threshold", "1"], MODEL, 2, "--threshold"),
        (["--device", "toaster"], MODEL, 6, "--device toaster"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(folder, flags, model, code, words):
    exit_code, said = run(folder, *flags, model=model)
    assert exit_code == code, said
    assert words in said
    assert "Traceback" not in said
    assert (folder / "in" / "a.png").exists()


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_json_and_bare_images_over_redis(tmp_path):
    server = RedisProcess(tmp_path)
    client = server.client()
    listener = Listener(client, "results", "results_errors")
    flags = ["--redis_in", "requests", "--redis_out", "results", "--redis_port", str(server.port), "--threshold", "0.8"]
    flags += ["--precision", "fp32"]
    with subprocess.Popen([SCRIPTS / "tensormask_predict_redis", *MODEL, *flags]) as worker:
        try:
            wait_until(lambda: client.pubsub_numpat() > 0, 60)
            image = (GOLDEN / "im0.png").read_bytes()
            client.publish("requests", message(image, id="as JSON"))
            client.publish("requests", image)
            client.publish("requests", b"neither")
            answers = listener.answers(3)
        finally:
            worker.terminate()
        assert worker.wait(20) == 0
    listener.close()
    client.close()
    server.stop()
    errors = [answer for answer in answers if "error" in answer]
    good = [answer for answer in answers if "error" not in answer]
    assert [answer["error"]["code"] for answer in errors] == ["bad_image"]
    assert sorted(answer.get("id", "") for answer in good) == ["", "as JSON"]
    for answer in good:
        np.testing.assert_array_equal(mask_of(answer) > 0, expected(threshold=0.8).masks.any(0))


def test_a_config_of_a_network_that_is_too_large(folder):
    channels = "RESNETS: {RES2_OUT_CHANNELS: 60000}, FPN: {OUT_CHANNELS: 60000}"
    config = folder / "own.yaml"
    for text, words in ((channels, "expected at most"), ("TENSOR_MASK: {NUM_CONVS: 100000000}", "NUM_CONVS")):
        config.write_text(f"_BASE_: {MODEL[-1]}\nMODEL: {{{text}}}\n")
        code, said = run(folder, model=[*MODEL[:2], "--config", str(config)])
        assert code == 2, said
        assert words in said


def test_the_line_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (GOLDEN.parents[2] / "tensormask" / "README.md").read_text()
    line = re.search(r"^    (tensormask_train (?:.*\\\n)*.*)$", text, re.MULTILINE)[1]
    program, *flags = shlex.split(line.replace("\\\n", " "))
    shutil.copytree(GOLDEN / "configs", tmp_path, dirs_exist_ok=True)
    (tmp_path / "instances_train2017.json").write_text('{"images": [], "annotations": [], "categories": []}')
    code, said = run_here(train_command.run, *flags)
    assert (program, code) == ("tensormask_train", 1), said
    assert "instances_train2017.json: 0 categories; the config has 80" in said


def test_training_without_data_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flags, code, words in (
        ([], 1, "instances_train2017.json"),
        (["--images", "."], 2, "--annotations and --images"),
        (["--annotations", __file__, "--images", "."], 1, "not COCO annotations"),
        (["SOLVER.IMS_PER_BATCH", "0"], 2, "IMS_PER_BATCH"),
        (["SOLVER.CLIP_GRADIENTS.ENABLED", "True"], 2, "CLIP_GRADIENTS"),
    ):
        exit_code, said = run_here(train_command.run, GOLDEN / "configs" / "tiny.yaml", *flags)
        assert exit_code == code
        assert words in said
