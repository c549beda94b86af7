"""DEXTR's part of `maskworks doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from dextr.checkpoint_files.download import cache_folder
from dextr.dextr_model import DextrModel
from maskworks.commands.doctor.finding import Finding
from maskworks.commands.doctor.models import weights
from maskworks.commands.doctor.reference_image import EXTREME_POINTS, known_image
from maskworks.commands.doctor.trial import trial
from maskworks.types import Prompt, Request
from maskworks_dextr.adapter import DextrPredictor
from maskworks_dextr.options import DEMO_MODEL, DextrConfig


def checkup(device: str, precision: str) -> Iterator[Finding]:
    """The demo model on a known image; presence of the Pascal VOC model."""
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
