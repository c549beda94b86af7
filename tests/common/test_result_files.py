from __future__ import annotations

import pytest

from segkit.errors import BadImage
from segkit.transports.claims import Claim
from segkit.transports.result_files import ResultFiles

SUFFIXES = {"mask": ".png", "overlay": "-overlay.png", "opex": ".json"}


@pytest.fixture
def output(tmp_path):
    return Output(tmp_path)


class Output:
    """An output folder in which images are put as a worker does it."""

    def __init__(self, folder):
        self.folder, self.files = folder, ResultFiles(folder, SUFFIXES)

    def names(self, image):
        stem = image.rpartition(".")[0]
        claim = Claim(self.folder, stem, self.folder / image, self.folder / f"{stem}.points", None)
        return list(self.files.names(claim, SUFFIXES).values())

    def put(self, image):
        names = [*self.names(image), image]
        with self.files.reserved(image, names):
            for name in names:
                (self.folder / name).write_text(image)


def test_names_follow_the_image(output):
    assert output.names("a.jpg") == ["a.png", "a-overlay.png", "a.json"]
    assert output.names("a.png") == ["a-mask.png", "a-overlay.png", "a.json"]
    with pytest.raises(BadImage, match="too long"):
        output.names("x" * 248 + ".jpg")


@pytest.mark.parametrize("image", ["a.jpg", "a.png", "a-mask.png", "a-overlay.PNG"])
def test_the_same_image_again_replaces_its_files(output, image):
    for _ in range(2):
        output.put(image)
    (output.folder / image).unlink()  # the worker died before it moved the image
    output.put(image)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.png", "a.jpg"),
        ("a.jpg", "a.png"),
        ("a.JPG", "a.tif"),
        ("a.png", "a-mask.png"),
        ("a-mask.png", "a.png"),
        ("a-overlay.png", "a.jpg"),
        ("a.jpg", "a-overlay.png"),
    ],
)
def test_files_of_another_image_are_not_replaced(output, first, second):
    output.put(first)
    before = {path.name: path.read_text() for path in output.folder.iterdir()}
    with pytest.raises(BadImage, match="would be replaced"):
        output.put(second)
    assert {path.name: path.read_text() for path in output.folder.iterdir()} == before
    with output.files.reserved("b.jpg", output.names("b.jpg")):
        pass  # others go on


def test_names_are_kept_while_they_are_written(output):
    with (
        output.files.reserved("a.png", [*output.names("a.png"), "a.png"]),
        pytest.raises(BadImage, match=r"has a\.png"),
    ):
        output.put("a-mask.png")
    output.put("a-mask.png")


def test_files_of_nobody_are_replaced(output):
    """What lay in the output folder before, or came from a command that wrote other files."""
    (output.folder / "a.png").write_text("old")
    (output.folder / "a.jpg").write_text("old")
    output.put("a.jpg")
    assert (output.folder / "a.png").read_text() == "a.jpg"
