"""The extra of a distribution that brings what its commands need beside the libraries."""

from __future__ import annotations

EXTRA = "commands"
# The import packages that this extra brings, of the distribution maskworks.
BROUGHT = frozenset((
    "hiredis", "httptools", "prometheus_client", "python_multipart", "redis", "starlette", "tqdm", "uvicorn",
    "watchdog",
))  # fmt: skip


def missing_extra(command: str, error: ModuleNotFoundError) -> str:
    """One line about an import that failed because the extra is not installed; "" if it failed for another reason.

    Args:
        command: the name of the command that needs the import.
        error: what Python says about the import.
    """
    package = (error.name or "").partition(".")[0]
    if package not in BROUGHT:
        return ""
    name = _distribution(command)
    return f"{package} is not installed; it comes with an extra of {name}: install {name}[{EXTRA}]"


def _distribution(command: str) -> str:
    """The distribution of a command; maskworks for what is no installed command."""
    from importlib import metadata  # which takes longer than to answer --help

    found = metadata.entry_points(group="console_scripts", name=command)
    return next((entry.dist.name for entry in found if entry.dist is not None), "maskworks")
