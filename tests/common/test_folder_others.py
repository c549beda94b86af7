"""Files in an input folder that are no inputs: each is named, with the reason, and stays as it is."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from PIL import Image

from maskworks.transports.folder.others import Others, listed, reasons
from tests.support.image_files import CASES
from tests.support.samples import encoded
from tests.support.workplace import wait_for_line

OTHERS = {
    "a.jp2": (encoded(fmt="JPEG2000"), "JPEG 2000, which is not read"),
    "b.jxl": (b"\xff\x0a\0\0", "JPEG XL, which is not read"),
    "c.tmp": (encoded(fmt="PNG"), "PNG by their content but not by their names; rename them"),
    "d.xml": (b"<?xml version='1.0'?>", "XML, which is not read"),
    "e.txt": (b"hello", "no image files by their names (.txt)"),
    "f": (b"", "no image files by their names (no extension)"),
    "g.prompt": (b"{}", "prompts for this model end in .points"),
}


@pytest.fixture
def others(folders):
    for name, (content, _) in OTHERS.items():
        (folders.inputs / name).write_bytes(content)
    (folders.inputs / "subfolder").mkdir()
    (folders.inputs / ".hidden.jp2").write_bytes(b"")
    return folders


def test_all_files_that_are_left_alone_are_named_at_the_end(others):
    others.add("good.png")
    code, said = others.run_here()
    assert code == 0
    for name, (content, reason) in OTHERS.items():
        assert f"left alone in {others.inputs}, {reason}: {name}\n" in said
        assert (others.inputs / name).read_bytes() == content
    assert "subfolder" not in said
    assert ".hidden" not in said


def test_a_worker_that_goes_on_names_each_file_once(others):
    with others.start("--continuous", "--poll_wait", "0.01") as worker:
        said = wait_for_line(worker, "prompts for this model end in .points: g.prompt")
        (others.inputs / "later.txt").write_bytes(b"")
        said += wait_for_line(worker, "later.txt")
        worker.terminate()
        said += worker.communicate()[1]
    for name in (*OTHERS, "later.txt"):
        assert said.count(f": {name}\n") == 1, name


def test_a_file_that_is_renamed_when_it_is_complete_is_not_named(tmp_path, caplog):
    caplog.set_level("INFO")
    others = Others(tmp_path, None)
    for names, told in (
        ({"a.part"}, 0), ({"b.part"}, 0), ({"b.part", "c.part"}, 1), ({"b.part", "c.part"}, 2), (set(), 2),
    ):  # fmt: skip
        others.found(names, tell=True)
        assert len(caplog.messages) == told, names
    assert [message[-6:] for message in caplog.messages] == ["b.part", "c.part"]


def test_lists_say_how_many_more_there_are():
    assert listed([f"{n}" for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert listed([f"{n}" for n in range(25)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more"


def test_lone_images_beyond_ten_are_counted(folders):
    for number in range(12):
        folders.add(f"{number:02}.png", prompt=None)
    code, said = folders.run_here()
    assert code == 0
    assert "the other file of the pair is missing: 00.png, 01.png" in said
    assert "09.png and 2 more" in said


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert reasons(tmp_path, ["pipe.txt", "gone.txt"], None) == [
        f"left alone in {tmp_path}, no image files by their names (.txt): gone.txt, pipe.txt"
    ]


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.JPEG", "a.gif", "a.avif", "a.heic", "a.HEIF"])
def test_images_of_phones_and_browsers_are_taken(folders, name):
    if name.lower().endswith(("heic", "heif")):
        pytest.importorskip("pillow_heif")
        shutil.copy(CASES / "phone.heic", folders.inputs / name)
    else:
        fmt = {"gif": "GIF", "avif": "AVIF"}.get(name.rpartition(".")[2], "JPEG")
        (folders.inputs / name).write_bytes(encoded(Image.new("RGB", (24, 16)), fmt))
    (folders.inputs / "a.points").write_bytes(b'{"points": [[8, 4], [4, 8], [12, 8], [8, 12]]}')
    code, said = folders.run_here()
    assert code == 0, said
    assert folders.names() == {name, "a.points", "a.png", "a.json"}


def test_bands_page_and_range_are_flags(folders):
    shutil.copy(CASES / "stack_pages.tif", folders.inputs / "a.tif")
    (folders.inputs / "a.points").write_bytes(b'{"points": [[8, 4], [4, 8], [12, 8], [8, 12]]}')
    assert folders.run_here("--page", "1", "--bands", "1", "--range", "0,100")[0] == 0
    meta = json.loads(json.loads((folders.out / "a.json").read_bytes())["meta"]["image"])
    assert meta["pages"] == {"used": 1, "of": 3}


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--bands", "0"), ("--bands", "1,2"), ("--bands", "1,2,3,4"), ("--bands", "red"), ("--bands", "1,,2"),
        ("--page", "-1"), ("--range", "some"), ("--range", "5,5"), ("--range", "9,1"), ("--range", "1,2,3"),
        ("--range", "nan,1"), ("--range", "0,inf"),
    ],
)  # fmt: skip
def test_wrong_flags_are_told(folders, flag, value):
    code, said = folders.run_here(f"{flag}={value}")
    assert code == 2
    assert f"{flag}: " in said
