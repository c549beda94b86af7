"""Fixtures for the tests of the shared library."""

from __future__ import annotations

from pathlib import Path

import pytest
from workplace import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "in").mkdir()
    return Folders(tmp_path)
