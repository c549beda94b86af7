"""The house keeps its shape: who may import whom, how long files may get, one list of everything."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.imports import imported

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "common" / "maskworks" / "src" / "maskworks"
TORCH = ROOT / "common" / "maskworks_torch" / "src" / "maskworks_torch"
PARTS = ("common", "dextr", "sam", "tensormask", "mmdetection", "benchmarks")
MODELS = {"dextr", "maskworks_dextr", "maskworks_sam", "tensormask", "maskworks_tensormask", "maskworks_mmdet"}
SOURCES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))

# A module may import from its own rank or from those above it in this list.
RANKS = [
    {"errors"},
    {
        "redis_syntax",
        "redis_url",
        "cache",
        "freed_memory",
        "atomic_write",
        "packed_mask",
        "regular_file",
        "printable",
    },
    {"config", "packed_mask"},
    {"types"},
    {"geometry", "holes", "images", "wire"},
    {"drawing", "predictor", "overlay", "metrics", "shutdown", "log", "liveness", "memory_errors"},
    {"heartbeat", "formats"},
    {"pipeline", "transports"},
    {"turns"},
    {"loop", "progress"},
    {"options"},
    {"commands"},
]


def module(path: Path) -> str:
    """`geometry` for geometry.py, `wire` for wire/image.py."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """`maskworks.wire.opex` for .../src/maskworks/wire/opex.py, `maskworks.wire` for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 if "src" in parts else 0 :]).removesuffix(".__init__")


def owner(name: str, modules: dict[str, Path]) -> str:
    """The module that defines what is imported; "" if it is none of ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def rank(name: str) -> int:
    return next(index for index, names in enumerate(RANKS) if name in names)


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_go_one_way(path):
    if path == CORE / "__init__.py":
        assert imported(path) == set()
        return
    own = module(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "maskworks" and parts[1] not in (own, "__version__"):
            assert rank(parts[1]) <= rank(own), f"{own} imports {name}"
        assert parts[0] not in MODELS, f"{own} knows a model: {name}"
        assert parts[0] not in ("torch", "torchvision", "maskworks_torch"), f"{own} imports torch"


def test_no_two_modules_import_each_other():
    names = {dotted(path): path for path in SOURCES}
    imports = {name: {owner(target, names) for target in imported(path)} - {name, ""} for name, path in names.items()}
    TopologicalSorter(imports).prepare()  # names the circle


def test_pipeline_and_transports_do_not_know_each_other():
    assert not any(name.startswith("maskworks.transports") for name in imported(CORE / "pipeline.py"))
    for path in (CORE / "transports").rglob("*.py"):
        assert not any(name.startswith("maskworks.pipeline") for name in imported(path)), path


# What libraries may use of ours; commands, transports and their servers are not theirs to know.
FOR_LIBRARIES = (
    "errors",
    "types",
    "images",
    "config",
    "cache",
    "atomic_write",
    "regular_file",
    "freed_memory",
    "memory_errors",
)


@pytest.mark.parametrize("library", ["dextr", "tensormask"])
def test_the_libraries_of_models_know_no_command(library):
    for path in (ROOT / library / "src" / library).rglob("*.py"):
        for name in imported(path):
            first, _, rest = name.partition(".")
            assert first != "maskworks" or rest.partition(".")[0] in FOR_LIBRARIES, f"{path} imports {name}"
            assert not first.startswith("maskworks_") or first == "maskworks_torch", f"{path} imports {name}"


def test_what_models_in_torch_share_knows_no_model_redis_or_http():
    for path in TORCH.rglob("*.py"):
        for name in imported(path):
            assert name.split(".")[0] not in MODELS, f"{path} imports {name}"
            assert not name.startswith("maskworks.transports"), f"{path} imports {name}"


def test_files_are_put_into_their_place_by_one_module():
    """Claims are renamed, too: that is how a worker gets them."""
    renaming = set()
    for path in (path for path in SOURCES if "src" in path.parts):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name, arguments = node.func.attr, len(node.args) + len(node.keywords)
                # Text has a `replace` of two arguments.
                if name in ("rename", "renames", "fsync", "NamedTemporaryFile") or (
                    name == "replace" and arguments == 1
                ):
                    renaming.add(path.relative_to(CORE).as_posix() if path.is_relative_to(CORE) else path)
    assert renaming == {"atomic_write.py", "transports/folder/claims.py"}


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
