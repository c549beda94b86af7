"""DEXTR's part of `segkit doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from dextr.dextr_model import DextrModel
from dextr.download import cache_folder
from segkit.doctor.finding import Finding
from segkit.doctor.known_image import EXTREME_POINTS, known_image
from segkit.doctor.models import weights
from segkit.doctor.trial import trial
from segkit.types import Prompt, Request
from segkit_dextr.adapter import DextrPredictor
from segkit_dextr.options import DEMO_MODEL, DextrConfig


def checkup(device: str, precision: str) -> Iterator[Finding]:
    """The demo model on a known image; whether the Pascal VOC model is there."""
    image, mask = known_image()
    config = DextrConfig(model="demo", device=device, precision=precision)
    here = DextrPredictor.load(config)
    plain = DextrPredictor(DextrModel.from_file(DEMO_MODEL), {}, config.threshold, 1)
    request = Request("known", image, (Prompt(extreme_points=EXTREME_POINTS),))
    yield trial("dextr", request, here, plain, least=0.98, drawn=mask)
    files = sorted(cache_folder().glob("*.pth"))
    yield from weights(files)
    if not files:
        yield Finding("dextr weights", "note", "none in the cache; without --model they are downloaded")
