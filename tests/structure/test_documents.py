"""The documents name files, tests, modules and headings that exist, and the README's example works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "common" / "maskworks" / "src" / "maskworks"
PLACES = ("docs", "common", "dextr", "sam", "tensormask", "mmdetection", "tests")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for place in PLACES for path in (ROOT / place).rglob("*.md"))])
ARCHITECTURE = ROOT / "docs" / "architecture.md"
# What commands make here, as `logs` of a training in the root, is no part.
MADE = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()}
PARTS = {path.name for path in ROOT.iterdir()} - MADE
# Names with dots that are no modules: a group of entry points, a file.
NO_MODULES = {"maskworks.checkups", "dextr.cfg"}
ROOTS = [*ROOT.glob("*/src"), *ROOT.glob("common/*/src")]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code(document: Path) -> list[str]:
    """What stands between backticks and has no blanks."""
    return re.findall(r"`([^`\s]+)`", document.read_text())


def located(name: str, document: Path) -> Path | None:
    """The path that a name means, in the repository or, in the architecture, in the core; None if it means none."""
    if "/" in name and name.partition("/")[0] in PARTS and "*" not in name:
        return ROOT / name
    of_the_core = re.fullmatch(r"[\w/]+(\.py|/)", name) is not None
    return CORE / name if document == ARCHITECTURE and of_the_core else None


@each_document
def test_named_files_and_what_is_named_in_them_exist(document):
    for name in code(document):
        file, _, inside = name.partition("::")
        path = located(file, document)
        if path is not None:
            assert path.exists(), name
            pattern = rf"^\s*(async def|def|class) {inside}\b"
            assert not inside or re.search(pattern, path.read_text(), re.MULTILINE), name


@each_document
def test_named_modules_exist(document):
    for name in code(document):
        if re.fullmatch(r"(maskworks\w*|dextr|tensormask)(\.[a-z]\w*)+", name) and name not in NO_MODULES:
            module, _, attribute = name.rpartition(".")
            assert source(name) or re.search(
                rf"^(def|class) {attribute}\b|\b{attribute} =|\bimport {attribute}\b", source(module), re.MULTILINE
            ), name


def source(module: str) -> str:
    """The text of one of our modules; "" if there is none of this name."""
    path = module.replace(".", "/")
    found = [folder / file for folder in ROOTS for file in (f"{path}.py", f"{path}/__init__.py")]
    return next((file.read_text() for file in found if file.exists()), "")


def anchors(document: Path) -> set[str]:
    """The headings as GitHub's links name them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(document):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text()):
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def example() -> tuple[str, str]:
    """The shell's and Python's part of the README's example without a download."""
    section = (ROOT / "README.md").read_text().partition("### An example without a download")[2].partition("\n## ")[0]
    blocks = [block for block in re.findall(r"(?:^(?:    .*)?\n)+", section, re.MULTILINE) if block.strip()]
    shell, program = (textwrap.dedent(block).strip() for block in blocks)
    return shell, program


@pytest.mark.slow("runs the demo model in two processes")
def test_the_example_of_the_readme_works_as_it_stands(tmp_path):
    (tmp_path / "dextr").symlink_to(ROOT / "dextr")
    shell, program = example()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(["sh", "-euc", shell], cwd=tmp_path, env=environment, check=True)
    assert {"cat-overlay.png", "cat.png", "cat.json"} <= {file.name for file in (tmp_path / "try" / "out").iterdir()}
    assert not (tmp_path / "cache").exists()
    program += "\nassert 1000 < (probabilities >= 0.5).sum() < 10000\n"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
