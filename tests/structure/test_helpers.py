"""Where tests take their helpers from: `tests/support` and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import imported

ROOT = Path(__file__).resolve().parents[2]
TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if "golden" not in path.parts]
OTHERS = ("benchmarks", "soak", "fuzz")
# Who tests the targets of the fuzzers has to import them.
ALLOWED = {"tests/common/test_fuzz_targets.py": "fuzz"}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_helpers_are_imported_from_support(path):
    """A helper in another test, a conftest or a program that uses the tests would be found by nobody."""
    name = path.relative_to(ROOT).as_posix()
    for target in imported(path):
        first, *rest = target.split(".")
        assert first != "tests" or rest[:1] in ([], ["support"]), f"{name} imports {target}"
        assert first != "conftest", f"{name} imports {target}"
        assert first not in OTHERS or ALLOWED.get(name) == first, f"{name} imports {target}"


def test_support_holds_no_tests():
    """They would never be run."""
    assert not [path.name for path in (ROOT / "tests" / "support").rglob("*.py") if path.name.startswith("test_")]
