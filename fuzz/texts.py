"""What comes as text: TensorMask's config files, and images as JSON."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fuzz.images import LIMITS
from fuzz.target import Target
from maskworks.errors import RequestError
from maskworks.wire import jsontext
from maskworks_tensormask import image_text
from tensormask.config import Config
from tensormask.errors import ConfigError

_CONFIG = b"""VERSION: 2
MODEL:
  META_ARCHITECTURE: "TensorMask"
  MASK_ON: True
  PIXEL_STD: [1.0, !!float "1", 1e0]
  BACKBONE: {NAME: build_retinanet_resnet_fpn_backbone}
  RESNETS: {OUT_FEATURES: &f ["res2", "res3", "res4", "res5"], DEPTH: 0x32}
  FPN: {IN_FEATURES: *f}
  ANCHOR_GENERATOR: {SIZES: "[[44], [88], [176], [352], [704], [1408]]", ASPECT_RATIOS: [[1.0]]}
SOLVER: {STEPS: (60000, 80000), BASE_LR: "2e-2"}
"""


def configs() -> Iterable[bytes]:
    """Files of detectron2, good and bad."""
    yield _CONFIG
    yield b"_BASE_: other.yaml\nMODEL: {WEIGHT: a, <<: {MASK_ON: true}}\nTEST: {DETECTIONS_PER_IMG: 3}\n"
    yield b"a: !!python/object/apply:os.system [true]\nb: 2020-01-01\nc: !!binary aaaa\nd: 1:30:00\n"
    yield b"a: &a [*a, 1]\nb: !!set {x, y}\nc: !!omap [x: 1]\nd: |\n  text\n? [1, 2]\n: 3\n"


def run_config(data: bytes) -> None:
    """A config comes out, or an error of the library."""
    path = Path(tempfile.gettempdir()) / f"maskworks-fuzz-{os.getpid()}.yaml"
    path.write_bytes(data)
    try:
        Config.from_file(path)
    except ConfigError:
        pass
    finally:
        path.unlink()


def image_texts() -> Iterable[bytes]:
    """Images in the text that clients write, and in other text of the same meaning."""
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    text = image_text.write_image(image * 4)
    yield text
    yield text.replace(b",", b", ")
    yield text.replace(b"[", b" [\n ")
    yield b'{"other": null, "img_data": [[[0]], [[255]], [[007]]]}'
    yield text.decode().encode("utf-16")
    yield b'{"a [1]": "[2] \\"[3]", "img_data": [[[1]], [[2]], [[3]]], "img_data": [[[4, 5]], [[6, 7]], [[8, 9]]]}'
    yield b'{"img_data": [[[1, true]], [[2, 2.5]], [[-3, 300]]]}'


def run_image_text(data: bytes) -> None:
    """An image comes out, the one that a JSON reader sees, or an error that the requester gets."""
    try:
        image = image_text.read_image(data, LIMITS)
    except RequestError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.size <= 3 * LIMITS.max_pixels
    planes = jsontext.read_object(data, "body")[image_text.KEY]
    np.testing.assert_array_equal(image[:, :, ::-1].transpose(2, 0, 1), planes)


CONFIG = Target(run_config, configs)
IMAGE_TEXT = Target(run_image_text, image_texts)
