"""`docs/upgrading.md` names commands, flags and images that there are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.distributions import PACKAGES, ROOT, project

DOCUMENT = (ROOT / "docs" / "upgrading.md").read_text()
COMMANDS = {name for package in PACKAGES for name in project(package).get("scripts", {})}
IMAGES = {line.split()[0] for line in (ROOT / "docker" / "images.txt").read_text().splitlines() if line[:1].isalpha()}
SCRIPTS = {"train_dextr.py": "dextr_train", "prepare_input.py": "tensormask_prepare_input"}
# Of docker.
THEIRS = {"--gpus", "--shm-size", "--net"}


@cache
def flags_of(command: str) -> frozenset[str]:
    """The flags that a command's help has."""
    help_ = subprocess.run(
        [Path(sys.executable).parent / command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    return frozenset(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", help_))


def lines() -> list[list[str]]:
    """The words of each line of the indented blocks, continued ones joined."""
    blocks = "".join(re.findall(r"^ {4,}.*\n", DOCUMENT, re.MULTILINE)).replace("\\\n", " ")
    return [shlex.split(line) for line in blocks.splitlines()]


def started(words: list[str]) -> tuple[str, list[str]] | None:
    """The command of ours that a line starts, and what follows it; None if it starts none."""
    if words[:2] == ["docker", "run"]:
        at = next(index for index, word in enumerate(words) if word.startswith("maskworks-"))
        model, device = words[at].removeprefix("maskworks-").split(":")
        assert model in IMAGES, words[at]
        assert device in ("cpu", "cuda")
        words = words[at + 1 :]
    if words[0] == "python":
        assert (ROOT / words[1]).is_file(), words[1]
        words = [SCRIPTS[words[1]], *words[2:]]
    if words[0] not in COMMANDS:
        assert words[0] in ("pip", "curl"), words
        return None
    return words[0], words[1:]


@pytest.mark.slow("starts all commands for their help")
def test_lines_to_type_start_commands_with_flags_that_they_have():
    seen = [found for found in map(started, lines()) if found is not None]
    assert {command for command, _ in seen} == {
        "dextr_predict_poll", "sam_predict_redis", "mmdet_predict", "dextr_train", "tensormask-server",
        "tensormask_prepare_input",
    }  # fmt: skip
    for command, words in seen:
        given = {word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)}
        assert given <= flags_of(command), command


def rows() -> list[tuple[list[str], list[str]]]:
    """Commands and flags of each row of the table of what stays."""
    section = DOCUMENT.partition("### What stays")[2].partition("\n* ")[0]
    cells = re.findall(r"^\| (`.*?) \| (.*) \|$", section, re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", commands), re.findall(r"`([^`]+)`", flags)) for commands, flags in cells]


@pytest.mark.parametrize(("commands", "flags"), rows(), ids=lambda names: names[0])
def test_what_stays_is_there(commands, flags):
    assert flags
    for command in commands:
        assert set(flags) <= flags_of(command), command


@pytest.mark.slow("starts all commands for their help")
def test_names_in_the_text_are_those_of_commands_flags_and_images():
    known = frozenset().union(*(flags_of(command) for command in COMMANDS if command != "maskworks"))
    names = [name for text in re.findall(r"`([^`\n]+)`", DOCUMENT) for name in text.split()]
    for flag in {name for name in names if re.fullmatch(r"--[a-z][\w-]*", name)} - THEIRS:
        assert flag in known, flag
    for image in {name for name in names if re.fullmatch(r"maskworks-[a-z]+:(cpu|cuda)", name)}:
        assert image.removeprefix("maskworks-").partition(":")[0] in IMAGES
    for command in {
        name for name in names if re.match(r"(dextr|sam|mmdet|tensormask)_(predict|test|train|config)", name)
    }:
        assert command in COMMANDS, command


def test_the_readme_leads_to_it():
    assert "](docs/upgrading.md)" in (ROOT / "README.md").read_text()
    assert "](docs/upgrading.md)" in (ROOT / "CHANGELOG.md").read_text()
