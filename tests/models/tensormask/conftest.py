"""The original's small network, its inputs and its answers; a data set of shapes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tensormask.model import TensorMask
from tensormask.network import build
from tests.support.torch_threads import torch_threads

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "tensormask"


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


class Original:
    """What the original does, see the golden data's README."""

    folder = GOLDEN
    config = GOLDEN / "configs" / "tiny.yaml"
    weights = GOLDEN / "model.safetensors"

    def __init__(self):
        self.answers = dict(np.load(GOLDEN / "answers.npz"))
        self.truth = json.loads((GOLDEN / "truth.json").read_text())

    def image(self, name):
        """(H, W, 3) uint8, R G B."""
        with Image.open(GOLDEN / f"{name}.png") as image:
            return np.array(image.convert("RGB"))

    def model(self, **settings):
        """The network with other settings."""
        model = TensorMask.from_files(self.config, self.weights)
        net = build(replace(model.config, **settings))
        weights = model.net.state_dict()
        net.load_state_dict({name: weights[name] for name in net.state_dict()})
        return TensorMask(net)

    def final(self, case, image=0):
        """The answer for an image by name, without the case."""
        start = f"{case}.{image}."
        return {key.removeprefix(start): value for key, value in self.answers.items() if key.startswith(start)}


@pytest.fixture(scope="session")
def original():
    return Original()


@pytest.fixture(scope="session")
def model(original):
    """The network as it is. It is shared: leave it as it is."""
    return original.model()


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A COCO data set of 24 images with discs (class 0) and rectangles (class 1): annotation file and image folder."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(24):
        size = (96, 64) if number % 2 else (64, 96)
        image = Image.fromarray(rng.integers(90, 110, (size[1], size[0], 3), dtype=np.uint8))
        side = int(rng.integers(22, 32))
        x, y = int(rng.integers(4, size[0] - side - 4)), int(rng.integers(4, size[1] - side - 4))
        kind = number // 2 % 2
        draw = ImageDraw.Draw(image)
        corners = (x, y, x + side, y + side)
        draw.rectangle(corners, fill=(20, 30, 220)) if kind else draw.ellipse(corners, fill=(230, 220, 20))
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        disc = np.stack([x + side / 2 * (1 + np.cos(angle)), y + side / 2 * (1 + np.sin(angle))], 1).ravel()
        box = [x, y, x + side, y, x + side, y + side, x, y + side]
        image.save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
        annotations.append({
            "id": number, "image_id": number, "category_id": (7, 9)[kind], "iscrowd": 0,
            "bbox": [x, y, side, side], "segmentation": [[float(v) for v in (box if kind else disc)]],
        })  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 9}, {"id": 7}]}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder / "annotations.json", folder
