"""Private names of other libraries: a complete list of those that are used, each with its library's version capped."""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.distributions import ROOT, project, requirements
from tests.support.sources import OWN, SCRIPTS, SOURCES, TREES, imports

# By library. A name is the last one of `module._name`, or a whole module whose documentation names none of it.
USED = {
    "redis": {"_parsers", "_sock"},
    "uvicorn": {"uvicorn.protocols.http.httptools_impl"},
    "torch": {
        "_convolution_pointwise", "_convolution_pointwise_", "_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported",
        "_linear_pointwise", "_reorder_convolution_weight", "_reorder_linear_weight", "_metadata", "_modules",
        "_C", "_cuda_getArchFlags",
    },
    "onedl-mmengine": {"_parse_iterable", "_safe_torch_load"},
    "onedl-mmdetection": {"_predict_by_feat_single"},
    "python": {"_Unpickler", "_option_string_actions"},
}  # fmt: skip
# httptools calls what uvicorn's class inherits, so the two have to fit each other.
CAPPED_TOO = {"uvicorn": ("httptools",)}
# Installed in exactly one version: by mmdetection/install.sh, and what only runs where images are built, by lock files.
INSTALLER = (ROOT / "mmdetection" / "install.sh").read_text()
# The pure-Python unpickler and the flags of a parser have had these names since Python 3.2.
FREE = {"python"}
# Modules that no documentation names, although their names do not begin with an underscore.
UNDOCUMENTED = ("uvicorn.protocols.",)

ASKED = {"getattr", "hasattr", "setattr", "delattr"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined() -> set[str]:
    """The private names that our own code gives: to functions, classes, variables, arguments, attributes of `self`."""
    found = set()
    for node in (node for tree in TREES.values() for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
    return set(filter(is_private, found))


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


DEFINED = defined()


def private_names(tree: ast.Module) -> Iterator[str]:
    """The private names of others that a file uses."""
    foreign = [(here, whole) for here, whole in imports(tree) if whole.partition(".")[0] not in OWN]
    for _, whole in foreign:
        yield from (part for part in whole.split(".") if is_private(part) and whole != "__future__")
        yield from (whole.rpartition(".")[0] for start in UNDOCUMENTED if whole.startswith(start))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in DEFINED:
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKED:
            name = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else ""
            if is_private(str(name)) and name not in DEFINED:
                yield str(name)
        elif isinstance(node, ast.ClassDef):
            yield from overridden(node, dict(foreign))


def overridden(node: ast.ClassDef, foreign: dict[str, str]) -> Iterator[str]:
    """The private methods of a foreign class that a class of ours replaces."""
    bases = [ast.unparse(base).partition("[")[0].partition(".") for base in node.bases]
    for first, _, rest in bases:
        base = found(foreign.get(first, ""), rest)
        given = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        yield from filter(is_private, given & set(dir(base)) if base is not None else ())


def found(whole: str, rest: str) -> object:
    """The class of a dotted name; None if there is none, or none here."""
    module, _, name = f"{whole}.{rest}".rstrip(".").rpartition(".")
    try:
        with warnings.catch_warnings(action="ignore"):  # libraries remark on each other
            return getattr(importlib.import_module(module), name, None) if module else None
    except ImportError:
        return None


@pytest.fixture(scope="module")
def used() -> dict[Path, set[str]]:
    return {path: names for path, tree in TREES.items() if (names := set(private_names(tree)))}


@pytest.mark.slow("imports the classes that ours are derived from")
def test_the_list_is_complete(used):
    listed = set().union(*USED.values())
    unknown = {str(path.relative_to(ROOT)): names - listed for path, names in used.items() if names - listed}
    assert unknown == {}
    assert listed - set().union(*used.values()) == set(), "no longer used"


@pytest.mark.slow("imports the classes that ours are derived from")
def test_what_uses_private_names_caps_the_version(used):
    for path, names in used.items():
        for library in (library for library, known in USED.items() if names & known):
            if library in FREE or path in SCRIPTS:
                continue
            for name in (library, *CAPPED_TOO.get(library, ())):
                if re.search(rf"\b{name}==[\d.]+", INSTALLER):
                    continue
                (need,) = [need for need in requirements(SOURCES[path]) if need.name == name and need.versions]
                assert re.search(r"<\d|==\d", need.versions), f"{path}: {project(SOURCES[path])['name']}: {name}"
