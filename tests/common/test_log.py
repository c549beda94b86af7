"""What a program says: on one line each, printable, for people or as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from maskworks.printable import printable

PROGRAM = """
import logging, os
from maskworks import log
from maskworks.config import LogConfig
log.set_up(LogConfig())
{extra}
logging.getLogger("maskworks.test").warning("written nowhere")
print("still there", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("extra", ["", "import tqdm"])
def test_a_log_that_cannot_be_written_ends_nothing(extra):
    with Path("/dev/full").open("w") as full:
        program = [sys.executable, "-c", PROGRAM.format(extra=extra)]
        done = subprocess.run(program, check=True, stdout=subprocess.PIPE, stderr=full, text=True, timeout=60)
    assert done.stdout == "still there\n"


# A bell, a null, an escape, the same in one byte (C1), a mark that turns the direction, an isolate, ends of lines.
HOSTILE = [
    "\a",
    "\0",
    "\x1b[2J",
    "\x9b2J",
    "\u202e",
    "\u2066",
    "\u2028",
    "\u2029",
    "\n",
    "\r",
    "\x85",
    "\x7f",
    "\t",
    "\udc80",
]

SAYING = """
import logging, sys
from maskworks import log
from maskworks.config import LogConfig
hostile = {hostile!r}
log.set_up(LogConfig(log_format={form!r}, verbose={verbose}))
for text in hostile:
    logging.getLogger("maskworks.test").warning("%s: refused", f"before{{text}}after")
    log.say(f"before{{text}}after")
try:
    raise ValueError("".join(f"{{text}}ERROR: forged" for text in hostile))
except ValueError:
    logging.getLogger("maskworks.test").exception("it failed")
"""


def said(form: str, *, verbose: bool = False) -> list[str]:
    """The lines of a program that logs and says something with each hostile text, and at last a traceback with all."""
    program = [sys.executable, "-c", SAYING.format(hostile=HOSTILE, form=form, verbose=verbose)]
    done = subprocess.run(program, check=True, capture_output=True, timeout=60)
    text = done.stderr.decode()
    assert text.endswith("\n")
    lines = text.removesuffix("\n").split("\n")
    assert all(map(str.isprintable, lines))
    return lines


@pytest.mark.parametrize("verbose", [False, True])
def test_a_text_of_others_is_printable_and_no_line_of_its_own(verbose):
    lines = said("text", verbose=verbose)
    first = 2 * len(HOSTILE)
    assert all("before" in line and "after" in line for line in lines[:first])
    assert lines[first].endswith("ERROR: it failed") or "ERROR maskworks.test: it failed" in lines[first]
    assert lines[first + 1].strip() == "Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in lines[first + 1 :])


def test_each_line_is_an_object():
    lines = list(map(json.loads, said("json")))
    assert len(lines) == 2 * len(HOSTILE) + 1
    assert {line["level"] for line in lines} == {"warning", "info", "error"}
    assert {line["logger"] for line in lines} == {"maskworks.test", "maskworks"}
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)
    assert lines[0]["message"] == "before\\x07after: refused"
    assert all(line["message"].isprintable() for line in lines)
    assert "exception" not in lines[0]
    assert lines[-1]["exception"].startswith("Traceback")


def test_text_that_prints_stays_as_it_is():
    text = "Größe 10 µm, 猫 \\x07, العربية, 'a b'"
    assert printable(text) == text
    assert printable("a\nb\u202ec\udc80") == "a\\nb\\u202ec\\udc80"


@pytest.mark.slow("starts a process")
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_worker_says_hostile_names_so_that_they_harm_nobody(folders, form):
    names = [f"a{text}b.png" for text in HOSTILE if text != "\0"]
    for name in names:
        folders.add(name, b"no image" * 10)
    code, said = folders.run("--incomplete_wait", "0", "--log_format", form)
    assert code == 3
    lines = said.removesuffix("\n").split("\n")
    assert all(map(str.isprintable, lines))
    assert len([line for line in lines if "b: bad_image: " in line]) == len(names)
    if form == "json":
        assert all(json.loads(line)["message"] for line in lines)


@pytest.mark.slow("starts a process")
def test_wrong_flags_are_said_in_the_form_that_was_asked_for(folders):
    code, said = folders.run("--log_format", "json", "--max_pixels", "0", "--verbose", "--quiet")
    assert code == 2
    lines = list(map(json.loads, said.splitlines()))
    assert {line["level"] for line in lines} == {"error"}
    assert "--max_pixels" in lines[0]["message"] + lines[1]["message"]
