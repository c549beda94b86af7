"""A small SAM that has learned the demo photos by heart, random ones of other shapes, and what to ask them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from maskworks.geometry import compose
from maskworks.types import Instance, Request
from maskworks.wire.prompt import parse_prompt
from maskworks_sam.adapter import SamAdapter
from maskworks_sam.options import SamConfig

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "tests" / "golden" / "sam" / "small.safetensors"
PHOTOS = ROOT / "dextr" / "demo" / "photos"


def random_sam(img_size=128, embed_dim=64, depth=3, heads=2, global_blocks=(1,), window_size=3, channels=64):
    """The package's model with weights that matter everywhere, also where it starts with zeros."""
    torch.manual_seed(0)
    grid = img_size // 16
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=img_size, embed_dim=embed_dim, depth=depth, num_heads=heads, out_chans=channels, use_rel_pos=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), window_size=window_size,
            global_attn_indexes=global_blocks,
        ),
        prompt_encoder=PromptEncoder(channels, (grid, grid), (img_size, img_size), 16),
        mask_decoder=MaskDecoder(
            transformer_dim=channels, iou_head_hidden_dim=64,
            transformer=TwoWayTransformer(depth=2, embedding_dim=channels, num_heads=8, mlp_dim=128),
        ),
    ).eval()  # fmt: skip
    stir(sam)
    return sam.requires_grad_(False)


def stir(sam):
    """Gives the positions and biases of an encoder values of a size that shows in the result."""
    for name, value in sam.image_encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name or name.endswith("qkv.bias"):
            torch.nn.init.normal_(value, std=0.3)


def photo(name="coffee"):
    with Image.open(PHOTOS / f"{name}.jpg") as image:
        return np.array(image.convert("RGB"))


def request_for(image, name="a", **prompt):
    return Request(name, image, parse_prompt(prompt) if prompt else (), prompt)


def whole(pixels, offset, size):
    """The mask of the image, (H, W) bool for `size`, of which these pixels are a part."""
    return compose([Instance(pixels, offset)], size) > 0


def adapter(checkpoint=CHECKPOINT, **flags):
    return SamAdapter.load(SamConfig(model=str(checkpoint), **{"precision": "fp32", "device": "cpu", **flags}))


def real_objects():
    """(image name, box, click inside) of every object that was outlined by hand."""
    objects = json.loads((ROOT / "tests" / "golden" / "dextr_demo" / "objects.json").read_text())
    for name, entries in objects.items():
        for entry in entries:
            polygon = np.array(entry["polygon"])
            box = [*polygon.min(axis=0).tolist(), *polygon.max(axis=0).tolist()]
            yield name.removesuffix(".jpg"), box, polygon.mean(axis=0).tolist()
