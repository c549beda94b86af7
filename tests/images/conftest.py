"""The images under test: the one named by MASKWORKS_IMAGE, e.g. `dextr-cpu`, else all that are built here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.container import ROOT, Image, built, open_image


def builder() -> str:
    """What runs images here; "" if nothing does."""
    if "BUILDER" in os.environ:
        return os.environ["BUILDER"]
    found = subprocess.run([ROOT / "docker" / "builder"], capture_output=True, text=True, check=False).stdout.strip()
    return "" if found == "buildah" and os.getuid() else found


BUILDER = builder()
WANTED = os.environ.get("MASKWORKS_IMAGE")
BUILT = built(BUILDER) if BUILDER else []


@pytest.fixture(scope="session", params=[WANTED] if WANTED else BUILT or [""])
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    """Every image in turn."""
    if not BUILDER:
        pytest.skip("no docker or podman that works, nor buildah as root")
    if request.param not in BUILT:
        reason = f"{request.param or 'no image'} is not built here: make build/{request.param or 'dextr-cpu'}"
        (pytest.fail if WANTED else pytest.skip)(reason)
    found = open_image(BUILDER, request.param)
    yield found
    found.engine.close()


@pytest.fixture
def dextr(image: Image) -> Image:
    """The image of DEXTR: it has a model of its own, so it can predict."""
    if image.model != "dextr":
        pytest.skip("only DEXTR's image has a model in it")
    return image
