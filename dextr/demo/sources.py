"""The photos and real objects that go into the made-up training photos.

Everything comes with scikit-image or lies in ``material/``. Nothing of it is in the demo photos, with one exception: of
scikit-image's 24 coins, the upper twelve are used here and the lower twelve are tested.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from real_objects import filled
from scenes.material import Cutout, Material
from skimage import data

FOLDER = Path(__file__).parent / "material"
SCIKIT_IMAGE_PHOTOS = (
    "brick", "camera", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket",
)  # fmt: skip
COINS_ROWS = 150  # where the upper half of the coins ends
CUTOUT_MARGIN = 2


def bundled(name: str) -> Any:
    """An example image, or several, of those that come with scikit-image and need no download."""
    return getattr(data, name)()


def rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey or RGB image as (H, W, 3) RGB."""
    return np.ascontiguousarray(image if image.ndim == 3 else np.dstack((image, image, image)))


def cut_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Cutout:
    """The part of an RGB image that a mask covers, with a small margin."""
    ys, xs = np.nonzero(mask)
    window = tuple(slice(max(int(v.min()) - CUTOUT_MARGIN, 0), int(v.max()) + CUTOUT_MARGIN + 1) for v in (ys, xs))
    return Cutout(rgb(image[window]), mask[window].astype(np.uint8) * 255)


def load_material() -> Material:
    """Photos for surfaces, and cut-out coins, a horse's silhouette, a retina and a cell."""
    photos = [rgb(bundled(name)) for name in SCIKIT_IMAGE_PHOTOS]
    photos += [rgb(image) for image in bundled("stereo_motorcycle")[:2]]
    photos += [rgb(np.asarray(cv2.imread(str(FOLDER / "china.jpg")), np.uint8)[..., ::-1])]
    coins = rgb(bundled("coins")[:COINS_ROWS])
    polygons = json.loads((FOLDER / "coins.json").read_text())
    cutouts = [cut_out(coins, filled(polygon, coins.shape[:2])) for polygon in polygons]
    horse, retina, cell = bundled("horse"), bundled("retina"), bundled("cell")
    cutouts += [cut_out(rgb(horse.astype(np.uint8) * 40), ~horse)]
    cutouts += [cut_out(retina, retina.max(axis=2) > 40)]
    bright = cv2.morphologyEx((cell > 110).astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9)))
    cutouts += [cut_out(rgb(cell), np.asarray(bright > 0))]
    return Material(photos, cutouts)
