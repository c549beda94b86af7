"""A model that is trained here, once, by the commands of the README; without MMDetection these tests are skipped."""

from __future__ import annotations

import pytest

from maskworks_mmdet.installation import import_mmdet
from tests.support.mmdet_school import HELD_OUT, TRAINING, School, printed
from tests.support.mmdet_shapes import write_coco
from tests.support.torch_threads import torch_threads


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def school(tmp_path_factory) -> School:
    """Data in place, config written, nothing trained yet."""
    school = School(tmp_path_factory.mktemp("school"))
    write_coco(school.folder / "data", "train.json", TRAINING)
    write_coco(school.folder / "data", "val.json", HELD_OUT)
    result = school.run(*printed("mmdet_config")[0])
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
