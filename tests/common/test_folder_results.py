from __future__ import annotations

import os

import pytest

from maskworks.errors import BadImage
from maskworks.transports.folder.claims import Claim
from maskworks.transports.folder.results import ResultFiles
from maskworks.wire.png_source import with_source
from tests.support.samples import encoded

SUFFIXES = {"mask": ".png", "overlay": "-overlay.png", "opex": ".json"}


@pytest.fixture
def output(tmp_path):
    return Output(tmp_path)


class Output:
    """An output folder in which images are put as a worker does it."""

    def __init__(self, folder):
        self.folder, self.files = folder, ResultFiles(folder, SUFFIXES)

    def names(self, image, parts=tuple(SUFFIXES)):
        stem = image.rpartition(".")[0]
        claim = Claim(self.folder, stem, self.folder / image, self.folder / f"{stem}.points", None)
        return list(self.files.names(claim, parts).values())

    def put(self, image, parts=tuple(SUFFIXES), *, moved=True):
        names = self.names(image, parts)
        with self.files.reserved(image, [*names, image] if moved else names):
            for name in names:
                is_png = name.endswith(".png")
                (self.folder / name).write_bytes(with_source(encoded(), image) if is_png else os.fsencode(image))
            if moved:
                (self.folder / image).write_bytes(encoded())

    def content(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def test_names_follow_the_image(output):
    assert output.names("a.jpg") == ["a.png", "a-overlay.png", "a.json"]
    assert output.names("a.png") == ["a-mask.png", "a-overlay.png", "a.json"]
    assert output.names("A.PNG") == ["A-mask.png", "A-overlay.png", "A.json"]  # A.png is the same file on some systems
    with pytest.raises(BadImage, match="too long"):
        output.names("x" * 248 + ".jpg")


@pytest.mark.parametrize("image", ["a.jpg", "a.png", "a-mask.png", "a-overlay.PNG", "%41 ü\n.jpg", "\udce9.jpg"])
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
    before = output.content()
    with pytest.raises(BadImage, match="would be replaced"):
        output.put(second)
    assert output.content() == before
    with output.files.reserved("b.jpg", output.names("b.jpg")):
        pass  # others go on


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize(("first", "second"), [("a.png", "a.jpg"), ("a-overlay.png", "a.jpg")])
def test_an_image_that_was_kept_is_not_replaced_although_others_are_deleted(output, first, second, noted):
    output.put(first)
    if not noted:
        for name in output.names(first, ["mask", "overlay"]):
            (output.folder / name).write_bytes(encoded())
    before = output.content()
    with pytest.raises(BadImage, match="would be replaced"):
        output.put(second, moved=False)
    assert output.content() == before


def test_names_are_kept_while_they_are_written(output):
    with (
        output.files.reserved("a.png", [*output.names("a.png"), "a.png"]),
        pytest.raises(BadImage, match=r"has a\.png"),
    ):
        output.put("a-mask.png")
    output.put("a-mask.png")


def test_the_case_of_letters_makes_another_image_where_there_is_room_for_both(output):
    with output.files.reserved("A.jpg", [*output.names("A.jpg"), "A.jpg"]):
        output.put("a.jpg")


def test_files_of_nobody_are_replaced(output):
    """What lay in the output folder before, or came from a command that wrote other files."""
    (output.folder / "a.png").write_text("old")
    (output.folder / "a.jpg").write_text("old")
    output.put("a.jpg")
    assert (output.folder / "a.png").read_bytes() == with_source(encoded(), "a.jpg")


@pytest.mark.parametrize("images", [("cup.jpg", "cup-mask.png"), ("cup-mask.png", "cup.jpg"), ("cup.png", "cup-.png")])
def test_neighbours_again_replace_their_files(output, images):
    """As an image and its ground truth, of which the second is called like a result of another image."""
    for image in 2 * images:
        output.put(image)
    assert set(output.content()) == {name for image in images for name in (*output.names(image), image)}


@pytest.mark.parametrize("image", ["a.jpg", "a.png"])
@pytest.mark.parametrize("moved", [True, False])
def test_the_same_image_again_with_other_results(output, image, moved):
    for parts in (("mask", "opex"), ("opex",), ("mask",), ("overlay", "opex")):
        output.put(image, parts, moved=moved)


def test_of_images_that_are_deleted_the_newer_one_counts(output):
    for image in ("a.png", "a.jpg", "a.jpg", "a.png"):
        output.put(image, ("mask", "opex"), moved=False)
    assert set(output.content()) == {"a-mask.png", "a.png", "a.json"}


@pytest.mark.parametrize("moved", [True, False])
def test_results_that_do_not_say_whose_they_are(output, moved):
    for _ in range(2):
        output.put("a.jpg", ["opex"])
    before = output.content()
    with pytest.raises(BadImage, match=r"has a\.jpg"):
        output.put("a.tif", ["opex"], moved=moved)
    assert output.content() == before


def test_an_image_whose_only_result_is_json_is_not_replaced(output):
    output.put("a.png", ["opex"])
    before = output.content()
    with pytest.raises(BadImage, match=r"has a\.png"):
        output.put("a.jpg")
    assert output.content() == before


@pytest.mark.parametrize(("parts", "moved"), [(("opex",), True), (("mask", "opex"), True), (("mask", "opex"), False)])
def test_an_image_that_somebody_put_beside_the_results_does_not_own_them(output, parts, moved):
    output.put("a.jpg", parts, moved=moved)
    (output.folder / "a.tif").write_bytes(encoded())
    output.put("a.jpg", parts, moved=moved)


@pytest.mark.parametrize("first", ["a.jpg", "A.jpg"])
def test_a_folder_that_ignores_the_case_of_letters(output, first):
    """Links stand for such a folder: its files are found under every spelling of their names."""
    output.put(first)
    for name in output.content():
        stem, _, suffix = name.partition(".")
        for other in (f"a{stem[1:]}.{suffix}", f"{stem}.{suffix.upper()}"):
            if other != name:
                os.link(output.folder / name, output.folder / other)
    for _ in range(2):
        output.put("a.jpg")
    with pytest.raises(BadImage, match="would be replaced"):
        output.put("a.TIF")


@pytest.mark.parametrize("moved", [True, False])
def test_masks_of_earlier_versions_have_no_note(output, moved):
    output.put("a.jpg", moved=moved)
    for name in output.names("a.jpg", ["mask", "overlay"]):
        (output.folder / name).write_bytes(encoded())
    output.put("a.jpg", moved=moved)
    assert (output.folder / "a.png").read_bytes() == with_source(encoded(), "a.jpg")


def test_a_link_to_an_image_that_is_away_is_not_replaced(output):
    output.put("a.png")
    (output.folder / "a.png").unlink()
    (output.folder / "a.png").symlink_to("away")
    with pytest.raises(BadImage, match=r"has a\.png"):
        output.put("a.jpg")
