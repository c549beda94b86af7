"""sam_predict_poll and sam_embed with a small model that knows the demo photos."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskworks.commands import poll
from maskworks_sam import embed
from maskworks_sam.cli import MODEL
from tests.support.bombs import progressive_jpeg
from tests.support.commands import run_here
from tests.support.sam_models import CHECKPOINT, PHOTOS, random_sam
from tests.support.workplace import Folders, wait_until

pytestmark = pytest.mark.slow("starts commands with a model")

SCRIPTS = Path(sysconfig.get_path("scripts"))
CUP = {"box": {"x0": 77, "y0": 18, "x1": 479, "y1": 391}}


class SamFolders(Folders):
    """The folders of the shared library's tests, with this model's command and prompts."""

    def command(self, *flags: str) -> list[str]:
        folders = ["--prediction_in", str(self.inputs), "--prediction_out", str(self.out)]
        model = [] if "--model" in flags else ["--model", str(CHECKPOINT)]
        return [str(SCRIPTS / "sam_predict_poll"), *folders, *model, *flags]

    def run_here(self, *flags: str) -> tuple[int, str]:
        """The command in this process: exit code and what it said."""
        return run_here(partial(poll.predict_poll, MODEL), *self.command(*flags)[1:])

    def put(self, name: str, prompt: object = CUP, photo: str = "coffee") -> None:
        """A photo and its prompt; a prompt of None leaves it out."""
        shutil.copy(PHOTOS / f"{photo}.jpg", self.inputs / name)
        if prompt is not None:
            (self.inputs / f"{name.rpartition('.')[0]}.prompt").write_text(json.dumps(prompt))

    def meta(self, name: str) -> dict:
        """`meta` of a result, its JSON texts read."""
        meta = json.loads((self.out / f"{name}.json").read_bytes())["meta"]
        return {key: json.loads(value) if value[:1] in "{[" else value for key, value in meta.items()}

    def mask(self, name: str) -> np.ndarray:
        with Image.open(self.out / name) as image:
            return np.array(image)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    return SamFolders(tmp_path)


def test_every_prompt_and_every_fault_in_one_run(folders):
    click = {"x": 250, "y": 200, "label": 1}
    folders.put("box.jpg")
    folders.put("CLICK.JPG", {"points": [click]})
    folders.put("both.jpg", {"points": [click], **CUP})
    folders.put(
        "many.jpg",
        {"objects": [CUP, {"points": [click], "label": 9}, {"points": [[77, 200], [300, 18], [479, 9], [9, 391]]}]},
    )
    folders.put("bad.jpg", {"points": [{"x": 1, "y": 2}]})
    folders.put("empty.jpg", {})
    (folders.inputs / "broken.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:2000])
    (folders.inputs / "broken.prompt").write_text(json.dumps(CUP))
    folders.put("waiting.jpg", None)
    code, said = folders.run("--overlay", "--incomplete_wait", "0.5", "--batch_size", "4", "--batch_wait_ms", "300")
    assert code == 3, said
    assert "Traceback" not in said
    for name in ("box", "CLICK", "both", "many"):
        assert {f"{name}.png", f"{name}.json", f"{name}-overlay.png"} <= folders.names()
        assert folders.mask(f"{name}.png").shape == (400, 600)
    assert folders.mask("box.png").any()
    assert [fact["label"] for fact in folders.meta("many")["objects"]] == [1, 9, 3]
    assert folders.meta("box")["segmenter"]["model_type"] == "vit_64x3"
    assert sorted(folders.meta(name)["cache"] for name in ("box", "CLICK", "both", "many")) == ["hit"] * 3 + ["miss"]
    assert folders.error("bad")["code"] == folders.error("empty")["code"] == "bad_prompt"
    assert "points[0].label" in folders.error("bad")["message"]
    assert folders.error("broken")["code"] == "bad_image"
    assert folders.names(folders.inputs) == {"waiting.jpg"}


def test_everything_in_the_images_without_prompts(folders):
    folders.put("coins.jpg", None, "coins")
    code, said = folders.run(
        "--automatic", "--points_per_side", "6", "--pred_iou_thresh", "0.5", "--stability_score_thresh", "0.7"
    )
    assert code == 0, said
    assert folders.names() == {"coins.jpg", "coins.json", "coins.png"}
    assert "prompt" not in folders.meta("coins")
    assert folders.meta("coins")["objects"]


def test_the_embeddings_of_a_folder_ahead_of_time(folders, tmp_path):
    images, cache = tmp_path / "images", tmp_path / "cache"
    shutil.copytree(PHOTOS, images)
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    os.mkfifo(images / "pipe.png")
    command = [SCRIPTS / "sam_embed", "--model", CHECKPOINT, "--image_dir", images, "--embedding_cache", cache]
    first = subprocess.run([*command, "--batch_size", "4"], capture_output=True, text=True, check=False)
    assert first.returncode == 3
    assert "6 computed, 0 were there, 2 failed" in first.stderr
    for name in ("broken.png", "pipe.png"):
        assert name in first.stderr
        (images / name).unlink()
    code, said = run_here(embed.embed, *command[1:])
    assert (code, said.splitlines()[-1]) == (0, "0 computed, 6 were there, 0 failed")

    # A worker that may only read the folder uses it all the same; a damaged file costs it a computation.
    damaged, *_ = cache.iterdir()
    damaged.write_bytes(b"damaged")
    for photo in PHOTOS.glob("*.jpg"):
        folders.put(photo.name, CUP, photo.stem)
    code, said = folders.run_here("--embedding_cache", str(cache))
    assert code == 0, said
    assert sorted(folders.meta(photo.stem)["cache"] for photo in PHOTOS.glob("*.jpg")) == ["hit"] * 5 + ["miss"]
    assert "damaged" in said


def test_a_folder_without_images_that_are_read_is_told(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(12):
        (images / f"{number:02}.jxl").write_bytes(b"\xff\x0a")
    code, said = run_here(
        embed.embed, "--model", CHECKPOINT, "--image_dir", images, "--embedding_cache", tmp_path / "cache"
    )
    assert code == 3
    assert said.splitlines()[-1] == "0 computed, 0 were there, 0 failed"
    assert f"left alone in {images}, JPEG XL, which is not read: 00.jxl, 01.jxl" in said
    assert "09.jxl and 2 more\n" in said
    shutil.copy(PHOTOS / "cat.jpg", images)
    assert (
        run_here(embed.embed, "--model", CHECKPOINT, "--image_dir", images, "--embedding_cache", tmp_path / "cache")[0]
        == 0
    )


def test_an_image_that_takes_too_long_to_decode_is_left_out(tmp_path):
    images, cache = tmp_path / "images", tmp_path / "cache"
    images.mkdir()
    (images / "bomb.jpg").write_bytes(progressive_jpeg(100_000))
    shutil.copy(PHOTOS / "cat.jpg", images)
    flags = ["--model", CHECKPOINT, "--image_dir", images, "--embedding_cache", cache, "--decode_timeout", "0.6"]
    code, said = run_here(embed.embed, *flags)
    assert code == 3
    assert "bomb.jpg: image: decoding it takes more than 0.6 s of processor time" in said
    assert "1 computed, 0 were there, 1 failed" in said


def test_a_batch_of_images_whose_decoding_takes_long(tmp_path):
    """More than may be in use at a time elsewhere."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(6):
        (images / f"{number}.jpg").write_bytes(progressive_jpeg(3000 + number))
    flags = ["--model", CHECKPOINT, "--image_dir", images, "--embedding_cache", tmp_path / "cache", "--batch_size", "6"]
    code, said = run_here(embed.embed, *flags)
    assert code == 0, said
    assert "6 computed" in said or "1 computed, 5 were there" in said


def test_embeddings_that_had_to_go_again_are_told(tmp_path):
    images, cache = tmp_path / "images", tmp_path / "cache"
    images.mkdir()
    for name in ("cat.jpg", "coffee.jpg", "coins.jpg"):
        shutil.copy(PHOTOS / name, images)
    flags = ["--model", CHECKPOINT, "--image_dir", images, "--embedding_cache", cache]
    code, said = run_here(embed.embed, *flags, "--embedding_cache_gb", "1e-4")
    assert code == 3
    assert len(list(cache.iterdir())) == 1
    assert "2 of the embeddings are no longer in the folder: --embedding_cache_gb 0.0001" in said


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(folders, tmp_path):
    cache = tmp_path / "read-only"
    cache.mkdir(mode=0o555)
    blocked = tmp_path / "link"
    blocked.symlink_to("/proc/self/nothing")  # for root, who may write everywhere but here
    folders.put("a.jpg")
    folders.put("b.jpg", CUP, "cat")
    code, said = folders.run_here("--embedding_cache", str(blocked if os.geteuid() == 0 else cache))
    assert code == 0, said
    assert said.count("going on without it") == 1
    assert folders.meta("a")["cache"] == folders.meta("b")["cache"] == "miss"


def test_a_killed_worker_loses_nothing_and_two_share_the_folder(folders):
    for index in range(12):
        folders.put(f"{index}.jpg", {"box": {"x0": 9, "y0": 9, "x1": 200 + index, "y1": 300}})
    first = folders.start("--continuous", "--poll_wait", "0.05")
    wait_until(lambda: "0.json" in folders.names() or len(folders.names()) > 3, 60)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    for name in folders.names():
        if name.endswith(".json") and not name.startswith("."):
            assert folders.meta(name.removesuffix(".json"))["cache"]
            assert folders.mask(name.replace(".json", ".png")).shape == (400, 600)
    workers = [folders.start("--poll_wait", "0.05") for _ in range(2)]
    said = [worker.communicate(timeout=100)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    expected = {f"{index}{suffix}" for index in range(12) for suffix in (".jpg", ".prompt", ".png", ".json")}
    assert {name for name in folders.names() if not name.startswith(".")} == expected
    for index in range(12):
        assert folders.meta(str(index))["prompt"]["box"]["x1"] == 200 + index


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--model_type", "vit_b"], 5, "holds a vit_64x3, but --model_type is vit_b"),
        (["--points_per_side", "0", "--embedding_cache_gb", "-1"], 2, "--embedding_cache_gb"),
        (["--mask_choice", "prettiest"], 2, "--mask_choice"),
        (["--embedding_cache", str(CHECKPOINT)], 2, "is a file; expected a folder"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(folders, flags, code, words):
    folders.put("a.jpg")
    exit_code, said = folders.run_here(*flags)
    assert exit_code == code, said
    assert words in said
    assert "Traceback" not in said
    assert folders.names(folders.inputs) == {"a.jpg", "a.prompt"}


def test_the_package_s_own_checkpoint_with_its_type_left_out(folders, tmp_path):
    torch.save(random_sam().state_dict(), tmp_path / "sam.pth")
    folders.put("a.jpg")
    code, said = folders.run_here("--model", str(tmp_path / "sam.pth"))
    assert code == 0, said
    assert folders.meta("a")["segmenter"] == {"type": "sam", "model_type": "vit_64x3", "model_file": "sam.pth"}
