"""The folder transport as its users meet it: real worker processes on real files."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import PROMPT, encoded, picture

DONE = {"a.png", "a.points", "a.json"}


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def loaded(path):
    """A PNG file as a picture that holds no file open."""
    with Image.open(path) as image:
        image.load()
        return image


def test_a_pair_becomes_mask_and_polygons(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    code, said = folders.run()
    assert code == 0, said
    assert "1 image done (1 object)" in said
    assert folders.names() == {"a.jpg", "a.points", "a.png", "a.json"}
    assert list(folders.inputs.iterdir()) == []
    mask = loaded(folders.out / "a.png")
    assert (mask.mode, mask.size, np.array(mask).sum()) == ("P", (24, 16), 81)
    opex = json.loads((folders.out / "a.json").read_bytes())
    assert opex["id"] == "a"
    assert opex["objects"][0]["bbox"] == {"left": 4, "top": 4, "right": 12, "bottom": 12}


def test_the_mask_of_a_png_image_gets_another_name(folders):
    folders.add("a.png")
    assert folders.run("--overlay")[0] == 0
    assert folders.names() == DONE | {"a-mask.png", "a-overlay.png"}
    assert (folders.out / "a.png").read_bytes() == encoded()
    assert loaded(folders.out / "a-overlay.png").size == (24, 16)


def test_inputs_are_deleted_on_request_but_never_when_they_failed(folders):
    folders.add("good.jpg", encoded(fmt="JPEG"))
    folders.add("bad.jpg", b"")
    code, _ = folders.run("--delete_input", "--incomplete_wait", "0")
    assert code == 3
    assert folders.names() == {"good.png", "good.json"}
    assert folders.names(folders.failed) == {"bad.jpg", "bad.points", "bad.error.json"}


def giant_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def prompt(**value):
    return json.dumps(value).encode()


BAD = {
    "empty.jpg": (b"", PROMPT, "bad_image", "empty"),
    "text.jpg": (b"hello", PROMPT, "bad_image", "not of a known format"),
    "cut.jpg": (encoded(fmt="JPEG")[:-60], PROMPT, "bad_image", "cannot be read"),
    "short.png": (encoded()[:-30], PROMPT, "bad_image", "cannot be read"),
    "giant.png": (giant_png(), PROMPT, "image_too_large", "50000x50000"),
    "nojson.png": (encoded(), b'{"points": [', "bad_json", "not JSON"),
    "list.png": (encoded(), b"[1, 2]", "bad_json", "expected an object"),
    "nan.png": (encoded(), b'{"points": [[1, 2], [NaN, 3], [4, 5], [6, 7]]}', "bad_prompt", "points[1][0]"),
    "three.png": (encoded(), prompt(points=[[1, 2], [3, 4], [5, 6]]), "bad_prompt", "3 points"),
    "word.png": (encoded(), prompt(points=[[1, 2], [3, "4"], [5, 6], [7, 8]]), "bad_prompt", "points[1][1]"),
    "far.png": (encoded(), prompt(points=[[1, 2], [3, 1e300], [5, 6], [7, 8]]), "bad_prompt", "points[1][1]"),
    "poison.png": (encoded(), prompt(points=[[1, 2]] * 4, label=66), "internal", "does not like 66"),
}


def test_every_bad_input_is_answered_and_spoils_nothing(folders):
    for name, (image, text, _, _) in BAD.items():
        folders.add(name, image, text)
    for index in range(len(BAD)):
        folders.add(f"good{index}.bmp", encoded(picture(130 + index), "BMP"))
    code, said = folders.run("--batch_size", "4", "--incomplete_wait", "0")
    assert code == 3
    for name, (_, _, expected, words) in BAD.items():
        error = folders.error(name.partition(".")[0])
        assert (error["code"], words in error["message"]) == (expected, True), (name, error)
    for index in range(len(BAD)):
        mask = np.array(loaded(folders.out / f"good{index}.png"))
        assert mask.sum() == 81
    assert f"{len(BAD)} failed" in said
    assert list(folders.inputs.iterdir()) == []
    expected_names = {f"{name.partition('.')[0]}{end}" for name in BAD for end in (".points", ".error.json")} | set(BAD)
    assert folders.names(folders.failed) == expected_names


@pytest.mark.parametrize(
    "name", ["a b.jpg", "a\nb.jpg", "ünï çödé 漢字.jpg", "a.b.c.jpg", "-f.jpg", "%s{}'\".JPG", "x" * 240 + ".jpg"]
)
def test_names_of_any_kind(folders, name):
    folders.add(name, encoded(fmt="JPEG"))
    code, said = folders.run()
    assert code == 0, said
    stem = name.rpartition(".")[0]
    assert folders.names() == {name, f"{stem}.points", f"{stem}.png", f"{stem}.json"}
    assert json.loads((folders.out / f"{stem}.json").read_bytes())["id"] == stem


def test_a_name_that_is_no_text(folders):
    name = os.fsdecode(b"caf\xe9.jpg")
    folders.add(name, encoded(fmt="JPEG"))
    code, said = folders.run()
    assert code == 0, said
    assert json.loads((folders.out / os.fsdecode(b"caf\xe9.json")).read_bytes())["id"] == "caf\\udce9"


def test_a_name_too_long_for_results_fails_alone(folders):
    stem = "x" * 251
    (folders.inputs / f"{stem}.jpg").write_bytes(encoded(fmt="JPEG"))
    (folders.inputs / "a.jpg").write_bytes(encoded(fmt="JPEG"))
    worker = subprocess.run(
        [*folders.command()[:1], "-c", LONG_NAMES, *folders.command()[2:]], capture_output=True, text=True, check=False
    )
    assert worker.returncode == 3, worker.stderr
    assert folders.names() == {"a.jpg", "a.png", "a.json"}
    assert folders.names(folders.failed) == {f"{stem}.jpg", f"{stem[:50]}.error.json"}


LONG_NAMES = """
import sys, dataclasses
sys.path.insert(0, "tests/common")
from bright import MODEL
from segkit import cli
sys.exit(cli.predict_poll(dataclasses.replace(MODEL, prompt_suffix=None)))
"""


def test_a_second_image_of_the_same_name_is_refused(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    folders.add("a.png", prompt=None)
    code, said = folders.run()
    assert folders.names() == {"a.jpg", "a.points", "a.png", "a.json"}
    assert folders.names(folders.failed) == {"a.png", "a.png.error.json"}
    assert "a.jpg" in folders.error("a.png")["message"]
    assert code == 3, said


@pytest.mark.parametrize("first", ["image", "prompt"])
@pytest.mark.parametrize("watchdog", [[], ["--use_watchdog"]])
def test_halves_may_come_in_any_order_and_in_pieces(folders, first, watchdog):
    parts = [("a.jpg", encoded(fmt="JPEG")), ("a.points", PROMPT)]
    with folders.start("--continuous", "--poll_wait", "0.05", *watchdog) as worker:
        for name, data in parts if first == "image" else parts[::-1]:
            with (folders.inputs / name).open("wb") as file:
                for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
                    file.write(piece)
                    file.flush()
                    time.sleep(0.3)
                    assert folders.names() == set() or piece is not data
        wait_for(lambda: "a.points" in folders.names())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    assert folders.names() == {"a.jpg", "a.points", "a.png", "a.json"}


def test_an_image_that_never_completes_ends_in_failed(folders):
    folders.add("a.jpg", encoded(fmt="JPEG")[:-60])
    start = time.monotonic()
    code, _ = folders.run("--incomplete_wait", "0.5")
    assert code == 3
    assert time.monotonic() - start > 0.5
    assert folders.error("a")["code"] == "bad_image"


def test_files_without_partner_are_left_and_named(folders):
    folders.add("alone.jpg", encoded(fmt="JPEG"), prompt=None)
    (folders.inputs / "prompt.points").write_bytes(PROMPT)
    code, said = folders.run()
    assert code == 0
    assert "alone.jpg, prompt.points" in said
    assert {path.name for path in folders.inputs.iterdir()} == {"alone.jpg", "prompt.points"}


def test_terminated_in_the_middle(folders):
    for index in range(10):
        folders.add(f"{index}.jpg", encoded(fmt="JPEG"))
    with folders.start(seconds=0.2) as worker:
        wait_for(lambda: any(name.endswith(".json") for name in folders.names()))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    done = {name.partition(".")[0] for name in folders.names() if name.endswith(".json")}
    waiting = {path.stem for path in folders.inputs.iterdir()}
    assert done | waiting == {str(index) for index in range(10)}
    assert not done & waiting
    assert len(list(folders.inputs.iterdir())) == 2 * len(waiting)


def test_a_second_signal_ends_at_once(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    with folders.start(seconds=30) as worker:
        wait_for(lambda: not (folders.inputs / "a.jpg").exists())
        time.sleep(0.5)
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == -signal.SIGTERM


def sums(folder: Path) -> dict[str, int]:
    return {path.stem: int(np.array(loaded(path)).sum()) for path in folder.glob("*.png")}


def check_all_done(folders, number):
    """Each image is done once, whole, with its own mask, and nothing else lies around."""
    stems = [str(index) for index in range(number)]
    assert list(folders.inputs.iterdir()) == []
    assert folders.names() == {f"{stem}{end}" for stem in stems for end in (".jpg", ".points", ".png", ".json")}
    assert sums(folders.out) == {stem: 81 * (1 + int(stem) % 9) for stem in stems}
    for stem in stems:
        json.loads((folders.out / f"{stem}.json").read_bytes())


def fill(folders, number):
    """Images whose masks differ: the palette index tells them apart."""
    for index in range(number):
        value = {**json.loads(PROMPT), "label": 1 + index % 9}
        folders.add(f"{index}.jpg", encoded(fmt="JPEG", quality=95), prompt(**value))


def test_killed_again_and_again_nothing_is_lost(folders):
    fill(folders, 50)
    chance = random.Random(1)
    for _ in range(20):
        with folders.start(seconds=0.03) as worker:
            wait_for(lambda: (folders.inputs / ".claims").exists() or not list(folders.inputs.iterdir()))
            time.sleep(chance.uniform(0.0, 0.2))
            worker.kill()
    code, said = folders.run()
    assert code == 0, said
    check_all_done(folders, 50)


def test_two_workers_share_a_folder(folders):
    fill(folders, 40)
    with folders.start(seconds=0.02) as one, folders.start(seconds=0.02) as two:
        said = [worker.communicate(timeout=60)[1] for worker in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    counts = [int(text.rpartition("\n")[0].rpartition("\n")[2].split()[0]) for text in said]
    assert sum(counts) == 40, said
    assert min(counts) > 0
    check_all_done(folders, 40)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs a user whom modes bind")
def test_a_read_only_output_folder_is_an_error_before_the_start(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    folders.out.mkdir()
    folders.out.chmod(0o555)
    folders.root.chmod(0o755)
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    for path in (folders.root.parents[1], folders.root.parents[0]):
        path.chmod(0o755)
    folders.inputs.chmod(0o777)
    worker = subprocess.run([*user, *folders.command()], capture_output=True, text=True, check=False)
    if "Permission denied" in worker.stderr:
        pytest.skip("the other user cannot run this interpreter")
    assert worker.returncode == 2, worker.stderr
    assert "--prediction_out: no permission to write" in worker.stderr
    assert (folders.inputs / "a.jpg").exists()


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"


def test_a_full_output_folder_loses_nothing(folders):
    """A limit on the size of files stands for a full disk: writing the second, larger mask fails."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    folders.add("b.bmp", encoded(Image.fromarray(noise), "BMP"))
    code = FULL + "import runpy, sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.argv = sys.argv[1:]\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    python, script, *flags = folders.command()
    worker = subprocess.run([python, "-c", code, script, *flags], capture_output=True, text=True, check=False)
    assert worker.returncode == 1, worker.stderr
    assert "results of b cannot be written: File too large" in worker.stderr
    assert "Traceback" not in worker.stderr
    assert {path.name for path in folders.inputs.iterdir()} == {"b.bmp", "b.points"}
    assert folders.names() == set()


def test_results_on_another_file_system(folders):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == folders.root.stat().st_dev:
        pytest.skip("no second file system here")
    folders.add("a.jpg", encoded(fmt="JPEG"))
    folders.add("b.jpg", b"")
    other = shared / f"segkit-test-{os.getpid()}"
    try:
        code, said = folders.run(
            "--prediction_out", str(other), "--prediction_tmp", str(folders.root), "--incomplete_wait", "0"
        )
        assert code == 3, said
        assert folders.names(other) == {"a.jpg", "a.points", "a.png", "a.json"}
        assert folders.names(other / "failed") == {"b.jpg", "b.points", "b.error.json"}
        assert folders.names(folders.root) == set()
        assert list(folders.inputs.iterdir()) == []
    finally:
        shutil.rmtree(other, ignore_errors=True)


def test_the_input_folder_goes_away_and_comes_back(folders):
    with folders.start("--continuous", "--poll_wait", "0.05") as worker:
        folders.add("a.jpg", encoded(fmt="JPEG"))
        wait_for(lambda: "a.points" in folders.names())
        shutil.rmtree(folders.inputs)
        time.sleep(0.5)
        assert worker.poll() is None
        folders.inputs.mkdir()
        folders.add("b.jpg", encoded(fmt="JPEG"))
        wait_for(lambda: "b.points" in folders.names())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        assert "trying again" in worker.stderr.read()


def test_a_vanished_input_folder_ends_a_single_run(folders):
    fill(folders, 5)
    with folders.start(seconds=0.3) as worker:
        wait_for((folders.inputs / ".claims").exists)
        shutil.rmtree(folders.inputs)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode in (0, 1), said
    assert "Traceback" not in said
    for path in folders.out.glob("*.json"):
        json.loads(path.read_bytes())


def test_several_objects_and_labels(folders):
    one = json.loads(PROMPT)
    folders.add("a.bmp", encoded(fmt="BMP"), prompt(objects=[one, {**one, "label": 9}]))
    assert folders.run()[0] == 0
    opex = json.loads((folders.out / "a.json").read_bytes())
    assert [entry["meta"]["object"] for entry in opex["objects"]] == ["0", "1"]
    assert np.array(loaded(folders.out / "a.png")).max() == 9


KINDS = {
    "cmyk.jpg": encoded(picture().convert("CMYK"), "JPEG"),
    "palette.png": encoded(picture().convert("P")),
    "alpha.png": encoded(picture().convert("RGBA")),
    "grey.png": encoded(picture().convert("L")),
    "deep.png": encoded(Image.fromarray(np.array(picture().convert("L")).astype(np.uint16) * 257)),
    "animated.webp": encoded(picture(), "WEBP", save_all=True, append_images=[picture(9)], lossless=True),
    "UPPER.JPG": encoded(fmt="JPEG", quality=95),
}


def test_images_of_all_kinds(folders):
    for name, data in KINDS.items():
        folders.add(name, data)
    rotated = picture()
    exif = rotated.getexif()
    exif[0x0112] = 6
    folders.add("rotated.jpg", encoded(rotated, "JPEG", exif=exif, quality=95))
    code, said = folders.run()
    assert code == 0, said
    for name in [*KINDS, "rotated.jpg"]:
        stem, _, suffix = name.partition(".")
        mask = loaded(folders.out / (f"{stem}-mask.png" if suffix == "png" else f"{stem}.png"))
        assert (mask.size, int(np.array(mask).sum())) == ((24, 16), 81), name
    opex = json.loads((folders.out / "rotated.json").read_bytes())
    assert json.loads(opex["meta"]["image"])["exif"] == "ignored"


def test_exif_is_applied_on_request(folders):
    exif = picture().getexif()
    exif[0x0112] = 6
    folders.add("a.jpg", encoded(picture(), "JPEG", exif=exif))
    assert folders.run("--exif", "apply")[0] == 0
    assert loaded(folders.out / "a.png").size == (16, 24)
