"""What a run leaves out, which tests share a process, and what `--precision auto` means to all of them."""

from __future__ import annotations

import os
import re
import runpy
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PROCESSOR = TESTS / "support" / "processor"
LEVELS = {"quick": ("slow", "heavy"), "test": ("heavy",), "heavy": (), "all": ()}
MARK = re.compile(r"\bmark\.(slow|heavy)\(\s*\"(.+?)\"", re.DOTALL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--level", choices=list(LEVELS), default="all",
        help="quick leaves out what is marked slow or heavy, test what is heavy, heavy all but that (default: all)",
    )  # fmt: skip
    parser.addoption(
        "--precision", choices=["fp32", "bf16"],
        help="what --precision auto means on the CPU, in every program (default: what fits this CPU)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Several workers with as many threads each as there are cores wait for each other more than they compute.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    precision = config.getoption("--precision")
    if precision:
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{PROCESSOR}{os.pathsep}{path}" if path else str(PROCESSOR)
        os.environ["MASKWORKS_TESTS_PRECISION"] = precision
        runpy.run_path(str(PROCESSOR / "sitecustomize.py"))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is left out and why, as it stands beside the tests."""
    names = LEVELS[config.getoption("--level")]
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, why in MARK.findall(path.read_text()):
            if name in names:
                found[f"{name}: {why}"].append(path.stem)
    if not found:
        return []
    return [
        "left out (make test-all runs everything):",
        *(f"  {why} ({_listed(s)})" for why, s in sorted(found.items())),
    ]


def _listed(stems: list[str]) -> str:
    files = sorted(set(stems))
    return ", ".join(files) if len(files) <= 3 else f"{len(files)} files"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    level: str = config.getoption("--level")
    reasons = {item: _reasons(item, LEVELS[level]) for item in items}
    if level == "heavy":
        left_out = [item for item in items if not item.get_closest_marker("heavy")]
    else:
        left_out = [item for item in items if reasons[item]]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _reasons(item: pytest.Item, names: tuple[str, ...]) -> list[str]:
    """Why a test is left out of a level that leaves out the marks of these names; empty if it is not.

    Raises:
        pytest.UsageError: a mark, of any name, does not say why.
    """
    found = []
    for name in LEVELS["quick"]:
        for mark in item.iter_markers(name):
            if mark.kwargs or [type(value) for value in mark.args] != [str] or not mark.args[0].strip():
                raise pytest.UsageError(f'{item.nodeid}: expected @pytest.mark.{name}("the reason")')
            found += [mark.args[0]] * (name in names)
    return found


def _group(item: pytest.Item) -> str:
    """Tests of one group run in one process, because they share a fixture that is expensive or that is a server."""
    if not isinstance(item, pytest.Function):
        return ""
    if {"school", "trained", "mmdet"} & set(item.fixturenames):
        return "mmdet"
    scopes = {definition.scope for found in item._fixtureinfo.name2fixturedefs.values() for definition in found}
    if "module" not in scopes:
        return ""
    driven = item.callspec.id if hasattr(item, "callspec") and "driver" in item.fixturenames else ""
    return f"{item.path.relative_to(TESTS)} {driven}".strip()
