"""The Python files of the distributions as syntax trees, and what they import under which names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.distributions import PACKAGES, ROOT

# Each file with the folder of its distribution.
SOURCES = {path: folder for folder in PACKAGES for path in sorted((ROOT / folder / "src").rglob("*.py"))}
# Those that run where images are built.
SCRIPTS = sorted((ROOT / "docker").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in (*SOURCES, *SCRIPTS)}
# The import packages of the distributions.
OWN = {path.name for folder in PACKAGES for path in (ROOT / folder / "src").iterdir() if path.is_dir()}


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a file imports from others: the name it gets here, and the whole name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
