"""Broken images and prompts in a folder: each is answered and spoils nothing."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np

from tests.support.samples import PROMPT, encoded, loaded, picture, prompt


def giant_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty.jpg": (b"", PROMPT, "bad_image", "empty"),
    "text.jpg": (b"hello", PROMPT, "bad_image", "not of a known format"),
    "cut.jpg": (encoded(fmt="JPEG")[:-60], PROMPT, "bad_image", "cannot be read"),
    "short.png": (encoded()[:-30], PROMPT, "bad_image", "cannot be read"),
    "giant.png": (giant_png(), PROMPT, "image_too_large", "50000x50000"),
    "nojson.png": (encoded(), b'{"points": [', "bad_json", "not JSON"),
    "noprompt.png": (encoded(), b"", "bad_json", "prompt: empty"),
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
    code, said = folders.run_here("--batch_size", "4", "--incomplete_wait", "0")
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


def test_an_image_that_never_completes_ends_in_failed(folders):
    folders.add("a.jpg", encoded(fmt="JPEG")[:-60])
    start = time.monotonic()
    code, _ = folders.run_here("--incomplete_wait", "0.5")
    assert code == 3
    assert time.monotonic() - start > 0.5
    assert folders.error("a")["code"] == "bad_image"
