"""What a run leaves out, which tests share a process, and what `--precision auto` means to all of them."""

from __future__ import annotations

import os
import re
import runpy
from collections import Counter, defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MATRIX, SCHOOL = "tests/faults/test_matrix.py", "tests/models/mmdet"
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
    leaving = set(left_out)
    items[:] = [item for item in items if item not in leaving]
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The dear ones first, so that no process is left alone with them in the end.
        slow = Counter(_place(item.nodeid) for item in items if _reasons(item, LEVELS["quick"]))
        items.sort(key=lambda item: -slow[_place(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """One that keeps groups together. `loadgroup` of xdist 3.8 does so by names that pytest 9.2 no longer looks at."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


def group(nodeid: str) -> str:
    """Tests of one group run in one process, as they share a fixture that is expensive or that is a server."""
    place = _place(nodeid)
    return nodeid.partition("::")[0] + nodeid.partition("[")[2] if place == MATRIX else place


def _place(nodeid: str) -> str:
    """The file of a test; for those that share a model trained in the tests, their folder."""
    return SCHOOL if nodeid.startswith(f"{SCHOOL}/") else nodeid.partition("::")[0]


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
