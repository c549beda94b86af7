from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from maskworks.transports.folder.claims import Claims
from maskworks.transports.folder.name_lock import NameLock
from maskworks.transports.folder.scan import Pair

DIE_WITH_A_CLAIM = """
import os, sys
from pathlib import Path
from maskworks.transports.folder.scan import Pair
from maskworks.transports.folder.claims import Claims
claim = Claims(Path(sys.argv[1]), ".points").take(Pair("a", "a.png", "a.points"))
exec(sys.argv[2])
os._exit(9)
"""


def fill(folder, *names):
    for name in names:
        (folder / name).write_text(name)


def die(folder, more=""):
    """Another process claims the pair `a`, does some more, and dies."""
    result = subprocess.run([sys.executable, "-c", DIE_WITH_A_CLAIM, str(folder), more], check=False)
    assert result.returncode == 9


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_of_many_gets_the_pair(tmp_path):
    workers = [Claims(tmp_path, ".points") for _ in range(8)]
    for index in range(50):
        fill(tmp_path, f"{index}.png", f"{index}.points")
        with ThreadPoolExecutor(8) as pool:
            pair = Pair(str(index), f"{index}.png", f"{index}.points")
            taken = [claim for claim in pool.map(lambda w, p=pair: w.take(p), workers) if claim is not None]
        assert len(taken) == 1
        assert taken[0].image.read_text() == f"{index}.png"
        assert taken[0].prompt.read_text() == f"{index}.points"


@pytest.mark.parametrize("other", [".prompt", None])
def test_workers_of_other_models_leave_a_claim_alone(tmp_path, other):
    fill(tmp_path, "a.png", "a.points")
    die(tmp_path)
    for _ in range(2):
        claims = Claims(tmp_path, other)
        assert list(claims.inherit()) == []
        claims.close()
    ((claim, _),) = Claims(tmp_path, ".points").inherit()
    assert (claim.image.read_text(), claim.prompt.read_text()) == ("a.png", "a.points")


def test_nothing_is_left_behind(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    claims = Claims(tmp_path, ".points")
    claim = claims.take(Pair("a", "a.png", "a.points"))
    assert listing(tmp_path) == [".claims"]
    assert claims.put_back(claim)
    claims.close()
    assert listing(tmp_path) == ["a.png", "a.points"]


def test_a_newer_file_of_the_same_name_is_not_overwritten(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    claims = Claims(tmp_path, ".points")
    claim = claims.take(Pair("a", "a.png", "a.points"))
    (tmp_path / "a.png").write_text("newer")
    assert not claims.put_back(claim)
    assert (tmp_path / "a.png").read_text() == "newer"
    assert claim.image.read_text() == "a.png"


def test_the_living_keep_their_claims_and_the_dead_do_not(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    alive, other = Claims(tmp_path, ".points"), Claims(tmp_path, ".points")
    claim = alive.take(Pair("a", "a.png", "a.points"))
    assert list(other.inherit()) == []
    alive.put_back(claim)
    alive.close()
    die(tmp_path)
    ((inherited, worker),) = other.inherit()
    assert (inherited.image.read_text(), inherited.prompt.read_text()) == ("a.png", "a.points")
    assert worker != other.worker
    assert list(other.inherit()) == []


def test_a_death_between_image_and_prompt_is_mended(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    die(tmp_path, "claim.prompt.rename(Path(sys.argv[1]) / 'a.points')")
    ((claim, _),) = Claims(tmp_path, ".points").inherit()
    assert (claim.image.read_text(), claim.prompt.read_text()) == ("a.png", "a.points")


def test_files_of_a_name_that_is_worked_on_wait(tmp_path):
    one, two = Claims(tmp_path, ".points"), Claims(tmp_path, ".points")
    fill(tmp_path, "a.png", "a.points")
    claim = one.take(Pair("a", "a.png", "a.points"))
    fill(tmp_path, "a.png", "a.points", "b.png", "b.points")
    for claims in (one, two):
        assert claims.take(Pair("a", "a.png", "a.points")) is None
    assert two.take(Pair("b", "b.png", "b.points")) is not None
    assert (tmp_path / "a.png").exists()
    claim.image.unlink()
    claim.prompt.unlink()
    claim.release()
    assert two.take(Pair("a", "a.png", "a.points")) is not None


def test_claims_of_the_dead_wait_for_their_name(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    die(tmp_path)
    fill(tmp_path, "a.png", "a.points")
    one, two = Claims(tmp_path, ".points"), Claims(tmp_path, ".points")
    claim = one.take(Pair("a", "a.png", "a.points"))
    assert (list(two.inherit()), two.incomplete) == ([], True)
    for path in (claim.image, claim.prompt):
        path.unlink()
    claim.release()
    ((inherited, _),) = two.inherit()
    assert (inherited.image.read_text(), two.incomplete) == ("a.png", False)


def test_what_systems_put_into_a_claim_is_no_part_of_it(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    die(tmp_path, "[(claim.folder / name).write_text('') for name in ('.DS_Store', 'Thumbs.db', '._a.png')]")
    (folder,) = (tmp_path / ".claims").glob("*/")
    (folder / ".DS_Store").write_text("")
    claims = Claims(tmp_path, ".points")
    ((claim, _),) = claims.inherit()
    assert (claim.stem, claim.image.read_text(), claim.prompt.read_text()) == ("a", "a.png", "a.points")
    assert claims.put_back(claim)
    claims.close()
    assert listing(tmp_path) == ["a.png", "a.points"]


def broken_close(monkeypatch, *descriptors):
    """Makes `os.close` do what it does on a file system that is gone: the number is free, and it raises."""
    close = os.close

    def closed(descriptor):
        close(descriptor)
        if descriptor in descriptors:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(os, "close", closed)


def test_a_lock_on_a_file_system_that_is_gone_is_closed_once(tmp_path, monkeypatch):
    lock = NameLock.take(tmp_path, "a")
    broken_close(monkeypatch, lock._descriptor)
    lock.release()
    with (tmp_path / "other").open("w") as other:  # has the lock's number now
        lock.release()
        other.write("whole")
    assert (tmp_path / "other").read_text() == "whole"


def test_a_worker_leaves_a_file_system_that_is_gone(tmp_path, monkeypatch):
    fill(tmp_path, "a.png")
    claims = Claims(tmp_path, None)
    claim = claims.take(Pair("a", "a.png", None))
    broken_close(monkeypatch, claims._lock, claim.lock._descriptor)
    assert claims.put_back(claim)
    for _ in range(2):
        claims.close()


AS_IT_CAME = """
for path in (claim.image, claim.prompt):
    path.unlink()
    path.symlink_to(f"../photos/{path.name}")
"""


@pytest.mark.parametrize("after_a_death", [False, True])
def test_relative_links_lead_where_they_led(tmp_path, after_a_death):
    inputs, photos = tmp_path / "in", tmp_path / "photos"
    for folder in (inputs, photos):
        folder.mkdir()
    fill(photos, "a.png", "a.points")
    for name in ("a.png", "a.points"):
        (inputs / name).symlink_to(f"../photos/{name}")
    claims = Claims(inputs, ".points")
    if after_a_death:
        die(inputs, AS_IT_CAME)
        ((claim, _),) = claims.inherit()
    else:
        claim = claims.take(Pair("a", "a.png", "a.points"))
    assert (claim.image.read_text(), claim.prompt.read_text()) == ("a.png", "a.points")
    assert claims.put_back(claim)
    assert ((inputs / "a.png").read_text(), (inputs / "a.points").read_text()) == ("a.png", "a.points")


def test_one_name_is_locked_once(tmp_path):
    """Many try to get the lock of a name while its owners come and go."""
    owners = []

    def work(_):
        for _ in range(200):
            lock = NameLock.take(tmp_path, "a")
            if lock is not None:
                owners.append(1)
                assert len(owners) == 1
                owners.pop()
                lock.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert list(tmp_path.iterdir()) == []


def test_the_prompt_of_another_name_is_not_taken(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    die(tmp_path, "claim.prompt.rename(Path(sys.argv[1]) / 'A.points')")
    ((claim, _),) = Claims(tmp_path, ".points").inherit()
    assert (claim.image.name, claim.prompt) == ("a.png", None)
    assert (tmp_path / "A.points").exists()


def test_a_link_that_leads_nowhere_is_put_back(tmp_path):
    (tmp_path / "a.png").symlink_to("nowhere")
    claims = Claims(tmp_path, None)
    assert claims.put_back(claims.take(Pair("a", "a.png", None)))
    claims.close()
    assert listing(tmp_path) == ["a.png"]


def test_a_death_while_finishing_leaves_the_prompt(tmp_path):
    fill(tmp_path, "a.png", "a.points")
    die(tmp_path, "claim.image.unlink()")
    ((claim, _),) = Claims(tmp_path, ".points").inherit()
    assert (claim.stem, claim.image, claim.prompt.name) == ("a", None, "a.points")


def test_a_prompt_that_goes_away_gives_the_image_back(tmp_path):
    fill(tmp_path, "a.png")
    assert Claims(tmp_path, ".points").take(Pair("a", "a.png", "a.points")) is None
    assert (tmp_path / "a.png").exists()


def test_a_cleared_input_folder_is_settled_again(tmp_path):
    claims = Claims(tmp_path, ".points")
    fill(tmp_path, "a.png", "a.points")
    claims.take(Pair("a", "a.png", "a.points"))
    shutil.rmtree(tmp_path / ".claims")
    fill(tmp_path, "a.png", "a.points")
    assert claims.take(Pair("a", "a.png", "a.points")) is not None
    assert (tmp_path / ".claims" / f"{claims.worker}.lock").exists()
