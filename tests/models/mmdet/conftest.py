"""A model that is trained here, once, by the commands of the README; without MMDetection these tests are skipped."""

from __future__ import annotations

import pytest

from maskworks_mmdet.installation import import_mmdet
from tests.support.mmdet_school import School, printed
from tests.support.torch_threads import torch_threads


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def school(tmp_path_factory) -> School:
    """Data in place, config written, nothing trained yet."""
    school = School(tmp_path_factory.mktemp("school"))
    for command in ("mmdet_sample_data", "mmdet_config"):
        result = school.run(*printed(command)[0])
        assert result.returncode == 0, result.stderr
    return school


@pytest.fixture(scope="session")
def trained(school) -> School:
    """The school after its training."""
    result = school.run(*printed("mmdet_train")[0])
    assert result.returncode == 0, result.stderr[-3000:] + result.stdout[-3000:]
    return school


@pytest.fixture
def mmdet() -> None:
    """MMDetection imported as the commands do it."""
    import_mmdet()
