"""The folder transport as its users meet it: real worker processes on real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from tests.support.samples import PROMPT, encoded, loaded, picture, prompt
from tests.support.workplace import wait_until

DONE = {"a.png", "a.points", "a.json"}


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
    assert folders.run_here("--overlay")[0] == 0
    assert folders.names() == DONE | {"a-mask.png", "a-overlay.png"}
    assert (folders.out / "a.png").read_bytes() == encoded()
    assert loaded(folders.out / "a-overlay.png").size == (24, 16)


def test_the_mask_of_an_upper_case_png_image(folders):
    folders.add("A.PNG")
    assert folders.run_here()[0] == 0
    assert folders.names() == {"A.PNG", "A.points", "A-mask.png", "A.json"}


def test_an_image_and_its_ground_truth_again_and_again(folders):
    for label in (1, 2):
        for name in ("cup.jpg", "cup-mask.png"):
            folders.add(name, encoded(fmt="PNG"), prompt(**{**json.loads(PROMPT), "label": label}))
        code, said = folders.run_here()
        assert code == 0, said
        assert [np.array(loaded(folders.out / f"{stem}.png")).max() for stem in ("cup", "cup-mask-mask")] == 2 * [label]
        assert (folders.out / "cup-mask.png").read_bytes() == encoded()


def test_a_mask_as_an_image(folders):
    """In the output folder it would pass for the mask that it was, and be replaced by the next one."""
    folders.add("a.jpg", encoded(fmt="JPEG"))
    assert folders.run_here()[0] == 0
    mask = (folders.out / "a.png").read_bytes()
    folders.add("b.png", mask)
    assert folders.run_here()[0] == 3
    assert "mask or an overlay that was made of 'a.jpg'" in folders.error("b")["message"]
    assert (folders.failed / "b.png").read_bytes() == mask
    folders.add("b.png", mask)
    assert folders.run_here("--delete_input")[0] == 0
    assert loaded(folders.out / "b-mask.png").size == (24, 16)


def test_the_error_of_an_earlier_try_is_taken_away(folders):
    folders.add("a.png", prompt=b"{}")
    assert folders.run_here()[0] == 3
    for name in ("a.png", "a.points"):
        (folders.failed / name).rename(folders.inputs / name)
    (folders.inputs / "a.points").write_bytes(PROMPT)
    assert folders.run_here()[0] == 0
    assert folders.names(folders.failed) == set()


def test_an_error_stays_as_long_as_what_it_is_about(folders):
    folders.add("a.png", b"")
    folders.run_here("--incomplete_wait", "0")
    folders.add("a.jpg", encoded(fmt="JPEG"))
    assert folders.run_here()[0] == 0
    assert folders.names(folders.failed) == {"a.png", "a.points", "a.error.json"}


def test_inputs_are_deleted_on_request_but_never_when_they_failed(folders):
    folders.add("good.jpg", encoded(fmt="JPEG"))
    folders.add("bad.jpg", b"")
    code, _ = folders.run_here("--delete_input", "--incomplete_wait", "0")
    assert code == 3
    assert folders.names() == {"good.png", "good.json"}
    assert folders.names(folders.failed) == {"bad.jpg", "bad.points", "bad.error.json"}


@pytest.mark.parametrize(
    "name", ["a b.jpg", "a\nb.jpg", "ünï çödé 漢字.jpg", "a.b.c.jpg", "-f.jpg", "%s{}'\".JPG", "x" * 240 + ".jpg"]
)
def test_names_of_any_kind(folders, name):
    folders.add(name, encoded(fmt="JPEG"))
    code, said = folders.run_here()
    assert code == 0, said
    stem = name.rpartition(".")[0]
    assert folders.names() == {name, f"{stem}.points", f"{stem}.png", f"{stem}.json"}
    assert json.loads((folders.out / f"{stem}.json").read_bytes())["id"] == stem


def test_a_name_that_is_no_text(folders):
    name = os.fsdecode(b"caf\xe9.jpg")
    folders.add(name, encoded(fmt="JPEG"))
    code, said = folders.run_here()
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
    assert folders.names(folders.failed) == {f"{stem}.jpg", f"{stem[:50]}-90d738c3.error.json"}


LONG_NAMES = """
import sys, dataclasses
sys.path.insert(0, "tests/support")
from bright import MODEL
from maskworks.commands.poll import predict_poll
sys.exit(predict_poll(dataclasses.replace(MODEL, prompt_suffix=None)))
"""


def test_a_second_image_of_the_same_name_is_refused(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    folders.add("a.png", prompt=None)
    code, said = folders.run_here()
    assert folders.names() == {"a.jpg", "a.points", "a.png", "a.json"}
    assert folders.names(folders.failed) == {"a.png", "a.png.error.json"}
    assert "a.jpg" in folders.error("a.png")["message"]
    assert code == 3, said


@pytest.mark.slow("starts processes")
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
                    time.sleep(0.15)  # the worker looks some times, and must not take what is not all there
                    assert folders.names() == set() or piece is not data
        wait_until(lambda: "a.points" in folders.names())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    assert folders.names() == {"a.jpg", "a.points", "a.png", "a.json"}


def test_files_without_partner_are_left_and_named(folders):
    folders.add("alone.jpg", encoded(fmt="JPEG"), prompt=None)
    (folders.inputs / "prompt.points").write_bytes(PROMPT)
    code, said = folders.run_here()
    assert code == 0
    assert "alone.jpg, prompt.points" in said
    assert {path.name for path in folders.inputs.iterdir()} == {"alone.jpg", "prompt.points"}


def test_several_objects_and_labels(folders):
    one = json.loads(PROMPT)
    folders.add("a.bmp", encoded(fmt="BMP"), prompt(objects=[one, {**one, "label": 9}]))
    assert folders.run_here()[0] == 0
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
    code, said = folders.run_here()
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
    assert folders.run_here("--exif", "apply")[0] == 0
    assert loaded(folders.out / "a.png").size == (16, 24)
