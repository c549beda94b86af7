"""Which image and which prompt belong together, and what is said where one of them is missing or called otherwise."""

from __future__ import annotations

import unicodedata

import pytest

from maskworks.config import InputConfig
from maskworks.transports.folder.claims import Claims
from maskworks.transports.folder.scan import Pair, Scan, Scanner
from maskworks.transports.folder.waiting import Waiting
from tests.support.samples import PROMPT, encoded
from tests.support.workplace import wait_for_line

NFC, NFD = (unicodedata.normalize(form, "tasse-é") for form in ("NFC", "NFD"))


def scan(folder, suffix=".points"):
    return Scanner(folder, suffix, patience=0, settle=0, limits=InputConfig()).scan()


@pytest.mark.parametrize(("image", "prompt"), [(NFC, NFD), (NFD, NFC), (NFC, NFC), (NFD, NFD)])
def test_names_are_the_same_in_all_forms_of_unicode(folders, image, prompt):
    assert NFC != NFD
    folders.add(f"{image}.jpg", encoded(fmt="JPEG"), prompt=None)
    (folders.inputs / f"{prompt}.points").write_bytes(PROMPT)
    code, said = folders.run_here()
    assert code == 0, said
    assert folders.names() == {f"{image}.jpg", f"{image}.png", f"{image}.json", f"{prompt}.points"}


def test_the_very_name_goes_before_another_form(tmp_path):
    for name in (f"{NFC}.png", f"{NFD}.png", f"{NFD}.points"):
        (tmp_path / name).write_bytes(PROMPT)
    found = scan(tmp_path)
    assert [(pair.image, pair.prompt) for pair in found.ready] == [(f"{NFD}.png", f"{NFD}.points")]
    assert (found.lone_images, found.lone_prompts) == ((f"{NFC}.png",), ())


def test_a_claim_of_a_dead_worker_finds_its_prompt_in_another_form(tmp_path):
    (tmp_path / f"{NFC}.png").write_bytes(encoded())
    dead = Claims(tmp_path, ".points")
    dead.take(Pair(NFC, f"{NFC}.png", None)).lock.release()
    dead._unlock()  # the kernel does that when a process ends
    (tmp_path / f"{NFD}.points").write_bytes(PROMPT)
    ((claim, _),) = Claims(tmp_path, ".points").inherit()
    assert (claim.stem, claim.prompt.name) == (NFC, f"{NFD}.points")


@pytest.mark.parametrize(
    "name", ["cup.prompt", "cup.json", "cup.PROMPT", "cup.jpg.points", "cup.jpg.json", "cup.points.txt", "Cup.points"]
)
def test_a_prompt_under_another_name_is_a_failure(folders, name):
    folders.add("cup.jpg", encoded(fmt="JPEG"), prompt=None)
    (folders.inputs / name).write_bytes(PROMPT)
    folders.add("good.png")
    code, said = folders.run_here()
    assert code == 3
    assert f"the prompt for cup.jpg is to be called cup.points, and {name} lies there; rename it\n" in said
    assert (folders.inputs / name).exists()
    assert "good.json" in folders.names()


def test_prompts_of_other_images_and_of_nothing_are_no_failure(folders):
    folders.add("cup.jpg", encoded(fmt="JPEG"), prompt=None)
    for name in ("plate.json", "cup.txt", "classes.prompt"):
        (folders.inputs / name).write_bytes(PROMPT)
    folders.add("good.png")
    (folders.inputs / "good.json").write_bytes(b"{}")
    code, said = folders.run_here()
    assert code == 0
    assert "rename it" not in said


def found_by(waiting, tell=True, **names):
    waiting.found(Scan((), 0, **{"lone_images": (), "lone_prompts": (), **names}), tell=tell)


def test_images_that_wait_are_named_once(tmp_path, caplog):
    caplog.set_level("INFO")
    waiting = Waiting(tmp_path, ".points", 0.0)
    for names in (("a.png",), ("a.png", "b.png"), (), ("b.png",)):
        found_by(waiting, lone_images=names)
    told = [message.removeprefix(f"waiting in {tmp_path} for their prompts (.points): ") for message in caplog.messages]
    assert told == ["a.png", "b.png", "b.png"]  # the last one has come anew
    found_by(waiting, lone_images=("c.png",), others=("c.json",))
    assert "is to be called c.points, and c.json lies there" in caplog.messages[-1]
    assert caplog.records[-1].levelname == "WARNING"
    assert len(caplog.messages) == 4


def test_images_whose_prompts_come_soon_are_not_named(tmp_path, caplog):
    caplog.set_level("INFO")
    waiting = Waiting(tmp_path, ".points", 3600)
    found_by(waiting, lone_images=("a.png",))
    found_by(waiting, lone_images=("a.png",))
    assert caplog.messages == []
    assert waiting.names == ("a.png",)


def test_many_prompts_under_other_names_are_counted(tmp_path):
    waiting = Waiting(tmp_path, ".prompt", 0)
    names = [f"{number:02}" for number in range(30)]
    found_by(
        waiting, tell=False, lone_images=tuple(f"{n}.png" for n in names), others=tuple(f"{n}.points" for n in names)
    )
    assert "is to be called 00.prompt, and 00.points lies there; rename it; so with 29 more" in waiting.mistaken


@pytest.mark.slow("starts a process")
def test_a_worker_that_goes_on_names_what_waits(folders):
    folders.add("cup.jpg", encoded(fmt="JPEG"), prompt=None)
    (folders.inputs / "cup.prompt").write_bytes(PROMPT)
    folders.add("lone.png", prompt=None)
    with folders.start("--continuous", "--poll_wait", "0.01", "--incomplete_wait", "0.1") as worker:
        said = wait_for_line(worker, "for their prompts (.points): lone.png")
        folders.add("done.png")
        worker.terminate()
        said += worker.communicate()[1]
    assert said.count("is to be called cup.points, and cup.prompt lies there") == 1
    assert said.count("lone.png") == 1
