"""The Dockerfiles in their stages, and what the verbs of images would run."""

from __future__ import annotations

import os
import re
import subprocess

from tests.support.container import ROOT, VERSIONS

MODELS = list(VERSIONS)


def dockerfile(model: str) -> str:
    return (ROOT / model / "Dockerfile").read_text()


def stages(model: str) -> dict[str, str]:
    """The stages of a Dockerfile by their names; the last one is called `final`."""
    parts = re.split(r"^FROM ", dockerfile(model), flags=re.MULTILINE)[1:]
    return {(re.search(r"^\S+ AS (\w+)", part) or ["", "final"])[1]: part.partition("\n")[2] for part in parts}


def make(*words: str) -> list[str]:
    """What a verb would run, with Docker, as words of a command line each."""
    environment = {**os.environ, "BUILDER": "docker", "DRY_RUN": "1"}
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
