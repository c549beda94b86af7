"""What `make test` and `make test-quick` leave out: never what the fault matrix or docs/security.md vouch for."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMISED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "security.md").read_text())


def heavy(path: Path) -> set[str]:
    """The names of the tests in a file that are marked as heavy; that of `pytestmark` if all are."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and any("heavy" in ast.dump(mark) for mark in node.decorator_list):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and "heavy" in ast.dump(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("file", "name"), [*PROMISED, ("tests/faults/test_matrix.py", "")])
def test_what_security_is_held_by_is_run_by_make_test(file, name):
    marked = heavy(ROOT / file)
    assert "pytestmark" not in marked
    assert name not in marked if name else not marked


SLOW, HEAVY = 'slow("starts a process")', 'heavy("trains")'
TESTS = """
import pytest

def test_light(): pass

@pytest.mark.{slow}
def test_slow(): pass

@pytest.mark.{heavy}
def test_heavy(): pass
"""


@pytest.fixture
def collect(tmp_path):
    """Collects tests of this text at a level; the process that did."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "support").symlink_to(ROOT / "tests" / "support")

    def run(text: str, level: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_some.py").write_text(text)
        flags = ["--collect-only", "-p", "no:cacheprovider", "--rootdir", ".", "--level", level, "test_some.py"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *flags], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    return run


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize(
    ("level", "names", "told"),
    [
        ("quick", ["light"], ["slow: starts a process (test_some)", "heavy: trains (test_some)"]),
        ("test", ["light", "slow"], ["heavy: trains (test_some)"]),
        ("heavy", ["heavy"], []),
        ("all", ["light", "slow", "heavy"], []),
    ],
)
def test_a_level_says_what_it_leaves_out(collect, level, names, told):
    done = collect(TESTS.format(slow=SLOW, heavy=HEAVY), level)
    assert re.findall(r"<Function test_(\w+)>", done.stdout) == names, done.stdout + done.stderr
    for reason in told:
        assert f"  {reason}\n" in done.stdout
    assert "left out" in done.stdout or not told


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("mark", ["heavy", "heavy()", 'slow("")', "slow(5)"])
def test_a_mark_without_a_reason_is_an_error(collect, mark):
    done = collect(TESTS.format(slow=mark, heavy=HEAVY), "all")
    assert done.returncode == 4
    assert "test_slow: expected @pytest.mark." in done.stderr


NOTING = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(8))
def test_note(number):
    with pathlib.Path(__file__).with_suffix(".txt").open("a") as file:
        print(os.getpid(), file=file)
"""


@pytest.mark.slow("starts processes")
def test_the_tests_of_a_file_run_in_one_process(tmp_path):
    """Otherwise each process makes the servers and models of the file, and not every version of xdist keeps groups."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "support").symlink_to(ROOT / "tests" / "support")
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(NOTING)
    flags = ["-p", "no:cacheprovider", "--rootdir", ".", "--numprocesses", "2"]
    subprocess.run([sys.executable, "-m", "pytest", *flags, "test_a.py", "test_b.py"], check=True, cwd=tmp_path)
    first, second = (set((tmp_path / f"test_{name}.txt").read_text().split()) for name in ("a", "b"))
    assert (len(first), len(second)) == (1, 1)
    assert first != second
