"""The original's models and answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dextr.model import DextrModel
from tests.support.torch_threads import torch_threads

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "dextr"


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


class Original:
    """What the original does: `cases` and `arrays` as the golden data's README describes them."""

    def __init__(self, folder):
        self.folder = folder
        described = json.loads((GOLDEN / "cases.json").read_text())
        self.settings = described["models"]
        self.batch = described["batch"]
        self.full = described["full"]
        self.cases = {case["id"]: case for case in described["cases"]}
        self.arrays = np.load(GOLDEN / "cases.npz")

    def file(self, name):
        """The path of an unpacked model file."""
        path = self.folder / f"{name}.pth"
        if not path.exists():
            path.write_bytes(gzip.decompress((GOLDEN / f"{name}.pth.gz").read_bytes()))
        return path

    def image(self, name):
        with Image.open(GOLDEN / "images" / name) as image:
            image.load()
            return image

    def input(self, case):
        """The image in the form in which the original got it, and the points."""
        image, load = self.image(case["image"]), case["load"]
        points = np.array(case["points"], dtype=np.int64 if case["integer_points"] else np.float64)
        if load == "rgba_opaque":
            image.putalpha(255)
        if load.startswith("pil") or load == "rgba_opaque":
            return image, points
        array = np.asarray(image)
        return {"numpy_u8": array, "numpy_f64": array / 255, "numpy_u16": array.astype(np.uint16) * 257}[load], points


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    return Original(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="session")
def models(original):
    """The original's two models by letter. They are shared: leave them as they are."""
    return {
        "a": DextrModel.from_file(original.file("model_a_legacy")),
        "b": DextrModel.from_file(original.file("model_b_legacy110")),
    }


@pytest.fixture(scope="session")
def prepared(models):
    return {name: model.prepare() for name, model in models.items()}
