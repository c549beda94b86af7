"""Segment Anything's part of `maskworks doctor`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from segment_anything import SamPredictor
from torch import Tensor

from maskworks.commands.doctor.finding import Finding
from maskworks.commands.doctor.reference_image import EXTREME_POINTS, known_image
from maskworks.types import Bytes, Floats, Prompt, Request
from maskworks_sam.adapter import SamAdapter
from maskworks_sam.checkpoint import Architecture, load_sam
from maskworks_sam.decoder import Decoder
from maskworks_sam.model import load_model
from maskworks_sam.options import SamConfig
from maskworks_torch.device import select_device, select_precision
from maskworks_torch.doctor.reference_network import agreement, formula_weights

# As the large models: heads of 64 channels, windows that reach beyond the image, blocks without windows.
SMALL = Architecture(
    img_size=256, patch_size=16, embed_dim=128, depth=4, num_heads=2, mlp_dim=512, window_size=7,
    global_attn_indexes=(1, 3), out_chans=64, mask_in_chans=16, decoder_depth=2, decoder_mlp_dim=128, masks=4,
    iou_head_dim=64, iou_head_depth=3,
)  # fmt: skip
# Embedding, mask logits.
KNOWN = (
    (-2.3329, 0.33728, -1.8178, 1.2763, 0.64704, -0.82559, -1.5955, -0.72349),
    (-0.64639, 0.0092469, -0.50368, -0.049941, 0.10246, 0.39465, 0.1705, 0.37881),
)
_CLICK: Floats = np.array([[118.0, 92.0]])
_BOX: Floats = np.concatenate([EXTREME_POINTS.min(axis=0), EXTREME_POINTS.max(axis=0)])


def checkup(device: str, precision: str) -> Iterator[Finding]:
    """A small model with weights that follow from a formula, from its checkpoint to its masks."""
    image, _ = known_image()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.safetensors"
        save_file(formula_weights(SMALL.build().state_dict()), path)
        found, seconds = _here(SamConfig(model=str(path), device=device, precision=precision), image)
        plain = _plain(path, image)
    chosen = select_precision(precision, select_device(device))
    yield agreement("sam", found, plain, KNOWN, chosen, seconds)


def _here(config: SamConfig, image: Bytes) -> tuple[list[Tensor], float]:
    """Embedding and mask logits as the commands compute them, and how many seconds a prediction takes."""
    model = load_model(config)
    adapter = SamAdapter(model, config)
    prompt = Prompt(clicks=_CLICK, click_labels=np.ones(1, np.uint8), box=_BOX)
    adapter.predict([Request("warm", image[::-1], (prompt,))])
    start = time.perf_counter()
    (found,) = adapter.predict([Request("known", image, (prompt,))])
    seconds = time.perf_counter() - start
    if isinstance(found, Exception):
        raise found
    (embedding,) = model.embedder.embed([image])
    logits = Decoder(model.sam, 1).decode(embedding.values, [prompt], image.shape[:2]).logits[:, 0]
    return [embedding.values, logits], seconds


def _plain(path: Path, image: Bytes) -> list[Tensor]:
    """The same by the package's own code."""
    predictor = SamPredictor(load_sam(path)[0])
    with torch.inference_mode():
        predictor.set_image(image)
        logits = predictor.predict(_CLICK, np.ones(1), _BOX, multimask_output=False)[2]
    return [predictor.get_image_embedding()[0], torch.from_numpy(logits)]
