from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
from PIL import Image

from maskworks.config import InputConfig
from maskworks.transports.folder.scan import Scanner
from maskworks.wire.completeness import End, end_of
from maskworks.wire.jsontext import MOST_MARKS
from tests.support.samples import PROMPT, encoded

LIMITS = InputConfig()
FORMATS = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "gif": "GIF", "avif": "AVIF"}
TELLING = {
    "tif": 4,
    "gif": 4,
    "avif": 8,
}  # bytes that tell a format whose end tells nothing


def scanner(folder, suffix=".points", patience=10.0, settle=0.0):
    return Scanner(folder, suffix, patience=patience, settle=settle, limits=LIMITS)


def scan(folder, suffix=".points"):
    return scanner(folder, suffix).scan()


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_image_is_complete_with_its_last_byte_only(tmp_path, suffix):
    data = encoded(fmt=FORMATS[suffix])
    path = tmp_path / f"a.{suffix}"
    for length in (0, 1, 5, 20, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        unmarked = length >= TELLING.get(suffix, len(data))
        assert end_of(path, LIMITS, is_prompt=False) is (End.UNMARKED if unmarked else End.MISSING), length
    path.write_bytes(data)
    assert end_of(path, LIMITS, is_prompt=False) is (End.THERE if suffix in ("jpg", "png") else End.UNMARKED)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_full_size_without_its_content_is_not_complete(tmp_path, suffix, monkeypatch):
    """As copiers of Windows, `rsync --preallocate` and torrents write files."""
    data, path, now = encoded(fmt=FORMATS[suffix]), tmp_path / f"a.{suffix}", clock(monkeypatch)
    arrivals = scanner(tmp_path, None, settle=2)
    arrivals.scan()
    for part in (12, 40, len(data) // 2, len(data) - 12):
        path.write_bytes(data[:part] + bytes(len(data) - part))
        os.utime(path, (part, part))  # the time of its last change is another one, however coarse the clock
        for _ in range(2):
            assert arrivals.scan().growing == 1, part
            now[0] += 0.9
    path.write_bytes(data)
    os.utime(path, (1e9, 1e9))
    if suffix not in ("jpg", "png"):
        assert arrivals.scan().growing == 1
        now[0] += 2.1
    assert len(arrivals.scan().ready) == 1


def test_another_file_of_the_same_size_and_time_has_to_settle_too(tmp_path, monkeypatch):
    now, path = clock(monkeypatch), tmp_path / "a.tif"
    arrivals = scanner(tmp_path, None, settle=2)
    arrivals.scan()
    for _ in range(2):
        (tmp_path / ".draft").write_bytes(encoded(fmt="TIFF"))
        os.utime(tmp_path / ".draft", (60, 60))
        (tmp_path / ".draft").rename(path)
        assert arrivals.scan().growing == 1
        now[0] += 2.1
        assert len(arrivals.scan().ready) == 1


@pytest.mark.parametrize("suffix", ["bmp", "tif", "webp"])
def test_the_wait_for_a_format_without_an_end_has_two_bounds(tmp_path, suffix, monkeypatch):
    """A folder of old files is done at once; `--incomplete_wait` is an upper bound."""
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(encoded(fmt=FORMATS[suffix]))
    assert scanner(tmp_path, None, patience=0, settle=2).scan().growing == 0
    assert scanner(tmp_path, None, settle=2).scan().growing == 1
    old = path.stat().st_mtime - 3
    os.utime(path, (old, old))
    assert scanner(tmp_path, None, settle=2).scan().growing == 0


def test_nothing_is_decoded_to_see_whether_it_is_complete(tmp_path, monkeypatch):
    """Hostile files take a decoder long; these are decoded in processes of their own."""
    monkeypatch.setattr(Image, "open", None)
    for suffix, fmt in FORMATS.items():
        (tmp_path / f"{suffix}.{suffix}").write_bytes(encoded(fmt=fmt))
    assert len(scan(tmp_path, None).ready) == len(FORMATS)


def test_a_prompt_is_complete_when_it_is_json(tmp_path):
    path = tmp_path / "a.points"
    for length in range(len(PROMPT)):
        path.write_bytes(PROMPT[:length])
        assert end_of(path, LIMITS, is_prompt=True) is End.MISSING
    path.write_bytes(PROMPT)
    assert end_of(path, LIMITS, is_prompt=True) is End.THERE


def clock(monkeypatch):
    """The scanner's clock, which stands still unless it is put forward."""
    now = [1000.0]
    monkeypatch.setattr(
        "maskworks.transports.folder.scan.time", SimpleNamespace(monotonic=lambda: now[0], thread_time=time.thread_time)
    )
    return now


def test_half_written_files_are_given_up_when_they_stay_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded()[:-5])
    (tmp_path / "a.points").write_bytes(PROMPT)
    now = clock(monkeypatch)
    arrivals = scanner(tmp_path, ".points", 60)
    assert (arrivals.scan().ready, arrivals.scan().growing) == ((), 1)
    now[0] += 61
    assert [pair.image for pair in arrivals.scan().ready] == ["a.png"]


def test_old_half_written_files_are_given_up_at_once(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded()[:-5])
    (tmp_path / "a.points").write_bytes(PROMPT)
    os.utime(tmp_path / "a.png", (0, 0))
    assert len(scan(tmp_path).ready) == 1


def test_files_are_not_old_because_clocks_differ(tmp_path):
    """A file server whose clock is behind: what is written to it now has a time that looks long gone."""
    arrivals = scanner(tmp_path, None, 10)
    arrivals.scan()
    for length in (-10, -5):
        (tmp_path / "a.png").write_bytes(encoded()[:length])
        os.utime(tmp_path / "a.png", (0, length + 60))
        for _ in range(2):
            found = arrivals.scan()
            assert (found.ready, found.growing) == ((), 1)
    (tmp_path / "a.png").write_bytes(encoded())
    os.utime(tmp_path / "a.png", (0, 60))
    assert len(arrivals.scan().ready) == 1


def test_at_the_first_look_the_clock_of_the_folder_counts(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded()[:-5])
    monkeypatch.setattr(time, "time", lambda: 1e12)  # ours is far ahead of it
    assert scan(tmp_path, suffix=None).growing == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_only_images_and_prompts_are_looked_at(tmp_path):
    for name in (".hidden.png", "notes.txt", "a.json", "a.prompt", "noextension"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    others = ("a.json", "a.prompt", "noextension", "notes.txt")
    assert scan(tmp_path) == type(scan(tmp_path))((), 0, (), (), others)


def test_pipes_and_devices_are_not_looked_at(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.points")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "a.png").write_bytes(encoded())
    found = scan(tmp_path, suffix=None)
    assert [pair.image for pair in found.ready] == ["a.png"]
    assert found.growing == 0


@pytest.mark.parametrize("target", ["nowhere", "circle.png", "file/inside", "x" * 300])
def test_links_that_lead_nowhere_are_given_up_in_the_end(tmp_path, target, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "circle.png").symlink_to(target)
    (tmp_path / "good.png").write_bytes(encoded())
    now = clock(monkeypatch)
    arrivals = scanner(tmp_path, None, 60)
    found = arrivals.scan()
    assert ([pair.image for pair in found.ready], found.growing) == (["good.png"], 1)
    now[0] += 61
    assert [pair.image for pair in arrivals.scan().ready] == ["circle.png", "good.png"]


def test_what_is_beyond_the_limits_is_not_read(tmp_path):
    path = tmp_path / "a.points"
    path.write_bytes(PROMPT)
    assert end_of(path, InputConfig(max_bytes=len(PROMPT)), is_prompt=True) is End.THERE
    assert end_of(path, InputConfig(max_bytes=len(PROMPT) - 1), is_prompt=True) is End.MISSING
    path.write_bytes(b'{"a": [' + b"0," * MOST_MARKS + b"0]}")
    assert end_of(path, LIMITS, is_prompt=True) is End.MISSING


def test_pairs_are_found_by_stem_whatever_the_case_of_the_extension(tmp_path):
    for name in ("b.PNG", "a.b.c.png", "ü\n x.png"):
        (tmp_path / name).write_bytes(encoded())
    for name in ("b.Points", "a.b.c.points", "ü\n x.points"):
        (tmp_path / name).write_bytes(PROMPT)
    assert [(p.image, p.prompt) for p in scan(tmp_path).ready] == [
        ("a.b.c.png", "a.b.c.points"), ("b.PNG", "b.Points"), ("ü\n x.png", "ü\n x.points")
    ]  # fmt: skip


def test_halves_of_pairs_wait(tmp_path):
    (tmp_path / "image.png").write_bytes(encoded())
    (tmp_path / "prompt.points").write_bytes(PROMPT)
    found = scan(tmp_path)
    assert (found.ready, found.lone_images, found.lone_prompts) == ((), ("image.png",), ("prompt.points",))


def test_without_prompts_every_image_is_ready(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded())
    (pair,) = scan(tmp_path, suffix=None).ready
    assert (pair.image, pair.prompt) == ("a.png", None)


def test_images_of_one_stem_are_rivals(tmp_path):
    for name in ("a.png", "a.bmp", "a.jpg"):
        (tmp_path / name).write_bytes(encoded(fmt=FORMATS[name[2:]]))
    (tmp_path / "a.points").write_bytes(PROMPT)
    (pair,) = scan(tmp_path).ready
    assert (pair.image, pair.rivals) == ("a.bmp", ("a.jpg", "a.png"))


def test_a_rival_is_named_once_it_is_complete(tmp_path):
    (tmp_path / "a.bmp").write_bytes(encoded(fmt="BMP"))
    (tmp_path / "a.png").write_bytes(encoded()[:-5])
    (tmp_path / "a.points").write_bytes(PROMPT)
    arrivals = scanner(tmp_path, ".points", 10)
    assert arrivals.scan().ready[0].rivals == ()
    (tmp_path / "a.png").write_bytes(encoded())
    assert arrivals.scan().ready[0].rivals == ("a.png",)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "gone")
