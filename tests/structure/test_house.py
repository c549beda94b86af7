"""The house keeps its shape: who may import whom, how long files may get, one list of everything."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEGKIT = ROOT / "common" / "src" / "segkit"
PARTS = ("common", "dextr", "sam", "tensormask", "mmdetection", "benchmarks")
MODELS = {"dextr", "segkit_dextr", "segkit_sam", "tensormask", "segkit_tensormask", "segkit_mmdet"}
SOURCES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))

# A module may import from its own rank or from those above it in this list.
RANKS = [
    {"errors"},
    {"types", "redis_syntax"},
    {"config"},
    {"geometry", "holes", "wire"},
    {"predictor", "overlay", "metrics", "shutdown", "log", "heartbeat", "memory_errors"},
    {"pipeline", "transports", "checkpoints", "device"},
    {"loop", "progress", "formats"},
    {"options"},
    {"cli"},
    {"clients", "serve", "doctor"},
]
TORCH_ALLOWED = {"checkpoints", "device", "doctor"}


def module(path: Path) -> str:
    """`geometry` for geometry.py, `wire` for wire/image.py."""
    return path.relative_to(SEGKIT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """All modules that a file imports, anywhere in it, with dots."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(path: Path) -> str:
    """`segkit.wire.image` for common/src/segkit/wire/image.py, `segkit.wire` for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 if "src" in parts else 0 :]).removesuffix(".__init__")


def owner(name: str, modules: dict[str, Path]) -> str:
    """The module that defines what is imported; "" if it is none of ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def rank(name: str) -> int:
    return next(index for index, names in enumerate(RANKS) if name in names)


@pytest.mark.parametrize("path", sorted(SEGKIT.rglob("*.py")), ids=lambda path: str(path.relative_to(SEGKIT)))
def test_imports_go_one_way(path):
    if path == SEGKIT / "__init__.py":
        assert imported(path) == set()
        return
    own = module(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "segkit" and parts[1] not in (own, "__version__"):
            assert rank(parts[1]) <= rank(own), f"{own} imports {name}"
        assert parts[0] not in MODELS, f"{own} knows a model: {name}"
        assert parts[0] not in ("torch", "torchvision") or own in TORCH_ALLOWED, f"{own} imports torch"


def test_no_two_modules_import_each_other():
    names = {dotted(path): path for path in SOURCES}
    imports = {name: {owner(target, names) for target in imported(path)} - {name, ""} for name, path in names.items()}
    TopologicalSorter(imports).prepare()  # names the circle


def test_pipeline_and_transports_do_not_know_each_other():
    assert not any(name.startswith("segkit.transports") for name in imported(SEGKIT / "pipeline.py"))
    for path in (SEGKIT / "transports").glob("*.py"):
        assert not any(name.startswith("segkit.pipeline") for name in imported(path)), path


@pytest.mark.parametrize("library", ["dextr", "tensormask"])
def test_the_libraries_of_models_stand_alone(library):
    for path in (ROOT / library / "src" / library).rglob("*.py"):
        assert not any(name.split(".")[0].startswith("segkit") for name in imported(path)), path


def test_operators_know_nothing_but_torch():
    for path in (SEGKIT.parent / "cpu_operators").glob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"segkit", *MODELS}, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 300


def test_every_module_says_what_it_is():
    silent = [
        path for path in SOURCES if path.stat().st_size and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []


def test_make_help_lists_every_verb():
    makefile = (ROOT / "Makefile").read_text()
    phony = makefile.partition(".PHONY: ")[2].partition("\n")[0].split()
    described = {line.partition(":")[0] for line in makefile.splitlines() if "  ## " in line}
    assert set(phony) == described
