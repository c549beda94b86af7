"""Ctrl-C before a command has its handlers: no traceback. Other errors are shown."""

from __future__ import annotations

import ast
import importlib.metadata
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EARLY = "maskworks.commands.early_interrupt"
COMMANDS = sorted(
    {
        entry.value.partition(":")[0]
        for entry in importlib.metadata.entry_points(group="console_scripts")
        if entry.value.startswith("maskworks")
    }
)
IN_AN_IMPORT = """
try:
    raise KeyboardInterrupt
except BaseException:
    raise ImportError("broken")
"""


def ended(code):
    return subprocess.run(
        [sys.executable, "-c", f"import {EARLY}\n{code}"], capture_output=True, text=True, check=False, timeout=60
    )


def test_an_interrupt_says_nothing():
    done = ended("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_an_interrupt_that_a_library_takes_for_something_else_says_nothing():
    done = ended(IN_AN_IMPORT)
    assert (done.returncode, done.stderr) == (1, "")


def test_other_errors_are_shown():
    assert "ValueError: of ours" in ended("raise ValueError('of ours')").stderr


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_imports_it_before_all_that_is_ours(module):
    spec = find_spec(module)
    body = ast.parse(Path(spec.origin).read_text()).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [node for node in imports if ast.unparse(node).split()[1].startswith("maskworks")]
    assert ast.unparse(ours[0]) == f"import {EARLY}"
