"""The distributions: what they depend on, and that no install line of the docs lets an index replace one of them."""

from __future__ import annotations

import json
import re
import shlex
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.distributions import (
    OURS,
    PACKAGES,
    ROOT,
    TESTED,
    Requirement,
    copied_sources,
    normal,
    offer,
    project,
    requirements,
    run,
)
from tests.support.sources import SOURCES, TREES, imports

VERSION = project("common/maskworks")["version"]
DOCS = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), *sorted((ROOT / "docs").glob("*.md"))]
# What each library of a model needs: these have to be named beside it.
CORE = ("common/maskworks", "common/maskworks_torch")
BUILDS = re.compile(r"\bpip (?:install|wheel)\b")


def commands(text: str) -> list[str]:
    """The command lines of a text in which pip installs or builds something, each as one line."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line.strip() for line in lines if BUILDS.search(line) and line.startswith("    ")]


def names_ours(line: str) -> bool:
    """Whether a command line names a distribution of ours, or its folder."""
    return any(re.search(rf"(?<![\w./-])(\./{folder}|{name})(?![\w/-])", line) for name, folder in OURS.items())


LINES = [(path, line) for path in DOCS for line in commands(path.read_text()) if names_ours(line)]


@pytest.mark.parametrize("folder", PACKAGES)
def test_every_distribution_is_complete(folder):
    table = project(folder)
    assert table["version"] == VERSION
    assert (table["license"], table["license-files"], table["readme"]) == ("MIT", ["LICENSE"], "README.md")
    assert (ROOT / folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert (ROOT / folder / "README.md").is_file()
    assert "urls" not in table, "say here where that URL exists"
    assert table["description"]


def test_libraries_ship_inside_the_distributions_of_their_models():
    assert sorted(OURS) == [
        "maskworks", "maskworks-dextr", "maskworks-mmdet", "maskworks-sam", "maskworks-tensormask", "maskworks-torch",
    ]  # fmt: skip
    for library in ("dextr", "tensormask"):
        assert (ROOT / library / "src" / library / "__init__.py").is_file()


@pytest.mark.parametrize("folder", PACKAGES)
def test_all_that_a_distribution_depends_on_is_ours_or_pinned(folder):
    build = re.findall(r'requires = \["([^"]+)"\]', (ROOT / folder / "pyproject.toml").read_text())
    assert len(build) == 1
    for need in (*requirements(folder), Requirement.read(build[0])):
        if need.name in OURS:
            assert need.versions == f"=={VERSION}", need
        else:
            assert need.name in TESTED, f"{need.name} is neither ours nor in constraints.txt"


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_distribution_names_what_it_imports(folder):
    """But for what mmdetection/install.sh and the base of torch bring."""
    providers = {name: {normal(found) for found in all_} for name, all_ in packages_distributions().items()}
    own = {path.name for path in (ROOT / folder / "src").iterdir()}
    named = {need.name for need in requirements(folder)}
    for path in (path for path, place in SOURCES.items() if place == folder):
        for _, whole in imports(TREES[path]):
            top = whole.partition(".")[0]
            if top in own or top in sys.stdlib_module_names or top in ("mmcv", "mmdet", "mmengine"):
                continue
            assert providers.get(top, {normal(top)}) & named, f"{path} imports {top}"


def test_models_need_no_redis_and_no_http_but_for_their_commands():
    core = {need.name for need in requirements("common/maskworks", extras=False)}
    assert core == {
        "fast-opex", "imagecodecs", "numpy", "opencv-python-headless", "orjson", "pillow", "pybase64", "tifffile",
    }  # fmt: skip
    for folder in set(PACKAGES) - {"common/maskworks"}:
        needs = requirements(folder, extras=False)
        assert all(not need.extras for need in needs if need.name in OURS)
        if folder in CORE:
            continue
        assert {"maskworks", "maskworks-torch"} <= {need.name for need in needs}
        first, *_ = map(Requirement.read, project(folder)["optional-dependencies"]["commands"])
        assert (first.name, first.extras) == ("maskworks", {"commands"})


def test_the_docs_say_how_each_model_is_installed():
    named = {folder for _, line in LINES for folder in PACKAGES if f"./{folder}" in line}
    assert named == set(PACKAGES)
    assert any("--find-links" in line for _, line in LINES)


@pytest.mark.parametrize(("path", "line"), LINES, ids=lambda value: getattr(value, "stem", None))
def test_an_install_line_leaves_nothing_of_ours_to_an_index(path, line):
    words = shlex.split(line)
    if "--no-index" in words:
        assert "--find-links" in words
        return
    folders = {word.partition("[")[0].removeprefix("./") for word in words if word.startswith("./")}
    assert {*CORE, *folders} <= folders, f"{path}: the core is missing"
    assert not {word.partition("[")[0] for word in words} & OURS.keys(), "a name is looked for on the index"


@pytest.fixture(scope="module")
def false_index(tmp_path_factory):
    """All that is pinned, without content, and what somebody else offers under our names: our version, and higher."""
    index = tmp_path_factory.mktemp("index") / "simple"
    for name, version in TESTED.items():
        offer(index, name, version, extras=("hiredis",) if name == "redis" else ())
    for name in OURS:
        for version in (VERSION, "99.0"):
            offer(index, name, version, extras=("commands", "redis", "http"))
    return index


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return copied_sources(tmp_path_factory.mktemp("sources"))


def chosen(index: Path, folder: Path, *command: str, cwd: Path) -> dict[str, tuple[str, str]]:
    """Version and origin of all that pip would install, by name."""
    report = folder / "report.json"
    flags = ["--dry-run", "--ignore-installed", "--no-build-isolation", "--report", str(report)]
    where = [] if "--no-index" in command else ["--index-url", index.as_uri()]
    done = run(sys.executable, "-m", "pip", *command, *flags, *where, cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())["install"]
    return {
        normal(entry["metadata"]["name"]): (entry["metadata"]["version"], entry["download_info"]["url"])
        for entry in found
    }


@pytest.mark.slow("pip resolves what is needed")
@pytest.mark.parametrize(
    "line", sorted({line for _, line in LINES if "--no-index" not in line and "pip install" in line})
)
def test_an_index_with_our_names_is_not_asked_for_them(false_index, sources, tmp_path, line):
    found = chosen(false_index, tmp_path, *shlex.split(line)[1:], cwd=sources)
    ours = found.keys() & OURS.keys()
    assert {"maskworks", "maskworks-torch"} < ours
    assert {name: found[name] for name in ours} == {name: (VERSION, (sources / OURS[name]).as_uri()) for name in ours}
    assert "redis" in found
    assert "torch" in found


@pytest.mark.slow("pip resolves what is needed")
def test_such_an_index_would_be_believed_without_the_folders(false_index, sources, tmp_path):
    """What the test above is for: the shorter line gets the stranger's."""
    assert chosen(false_index, tmp_path, "install", "maskworks-sam", cwd=sources)["maskworks-sam"][0] == "99.0"
    shorter = chosen(false_index, tmp_path, "install", "./sam", cwd=sources)
    assert shorter["maskworks"][1].startswith(false_index.as_uri())


@pytest.mark.slow("pip resolves what is needed")
def test_wheels_for_a_machine_without_network_are_ours(false_index, sources, tmp_path):
    (build,) = {line for _, line in LINES if "pip wheel" in line}
    (install,) = {line for _, line in LINES if "--no-index" in line}
    dist = tmp_path / "dist"
    words = [str(dist) if word == "dist" else word for word in shlex.split(build)]
    done = run(sys.executable, "-m", *words, "--no-build-isolation", "--index-url", false_index.as_uri(), cwd=sources)
    assert done.returncode == 0, done.stderr
    found = chosen(false_index, tmp_path, *shlex.split(install)[1:], cwd=tmp_path)
    assert {"maskworks", "maskworks-torch", "redis", "torch"} <= found.keys()
    assert {version for name, (version, _) in found.items() if name in OURS} == {VERSION}
    for name in found.keys() & OURS.keys():
        wheel = next(dist.glob(f"{name.replace('-', '_')}-*.whl"))
        assert wheel.stat().st_size > 5000, "without content: the stranger's"
