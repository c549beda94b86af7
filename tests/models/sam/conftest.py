"""Fixtures for the tests of Segment Anything."""

from __future__ import annotations

import pytest

from maskworks_sam.checkpoint import load_sam
from tests.support.sam_models import CHECKPOINT, adapter


@pytest.fixture(scope="session")
def small_sam():
    """The package's model of `CHECKPOINT`, as the package computes it."""
    return load_sam(CHECKPOINT)[0]


@pytest.fixture
def sam():
    return adapter()
