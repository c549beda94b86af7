"""Makes small.safetensors: a SAM of 0.4 million weights that has learned the objects of the demo photos by heart.

Its masks are smooth and clear of noise, as those of a trained SAM are, so that tests can tell rounding from failure. It
is of no other use. `python -m tests.support.train_small_sam [MINUTES]` replaces the one in `tests/golden/sam`.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

ROOT = Path(__file__).resolve().parents[2]
SIDE, CHANNELS = 256, 64


def build():
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIDE,
            embed_dim=CHANNELS,
            depth=3,
            num_heads=2,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            out_chans=CHANNELS,
            use_rel_pos=True,
            window_size=6,
            global_attn_indexes=(2,),
        ),
        prompt_encoder=PromptEncoder(CHANNELS, (SIDE // 16, SIDE // 16), (SIDE, SIDE), 16),
        mask_decoder=MaskDecoder(
            transformer_dim=CHANNELS,
            iou_head_hidden_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=128),
        ),
    )


def samples():
    """Photos (3, SIDE, SIDE) uint8 and, for each, masks (N, SIDE, SIDE) of its objects; the photos also mirrored."""
    objects = json.loads((ROOT / "tests/golden/dextr_demo/objects.json").read_text())
    for name, entries in objects.items():
        image = Image.open(ROOT / "dextr/demo/photos" / name).convert("RGB")
        scale = SIDE / max(image.size)
        size = [int(length * scale + 0.5) for length in image.size]
        photo = np.zeros((SIDE, SIDE, 3), np.float32)
        photo[: size[1], : size[0]] = (np.asarray(image.resize(size, 2)) - [123.675, 116.28, 103.53]) / [
            58.395,
            57.12,
            57.375,
        ]
        masks = []
        for entry in entries:
            mask = np.zeros(image.size[::-1], np.uint8)
            cv2.fillPoly(mask, [np.round(entry["polygon"]).astype(np.int32)], 1)
            small = cv2.resize(mask * 255, size, interpolation=cv2.INTER_AREA) > 127
            full = np.zeros((SIDE, SIDE), bool)
            full[: size[1], : size[0]] = small
            if full.sum() > 20:
                masks.append(full)
        yield torch.from_numpy(photo).permute(2, 0, 1), np.stack(masks)


def prompts(masks, random):
    """For each mask a click inside, a box, or both, in pixels of the input."""
    for mask in masks:
        ys, xs = np.nonzero(mask)
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3)))
        iy, ix = np.nonzero(inner) if inner.any() else (ys, xs)
        at = random.integers(len(ix))
        click = torch.tensor([[ix[at], iy[at]]], dtype=torch.float32)
        jitter = random.normal(0, 1.5, 4)
        box = torch.tensor(np.array([xs.min(), ys.min(), xs.max(), ys.max()]) + jitter, dtype=torch.float32)
        yield click, box, random.integers(3)


def main(minutes):
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    sam, data = build().train(), list(samples())
    optimiser = torch.optim.AdamW(sam.parameters(), 2e-3, weight_decay=0.01)
    start = time.time()
    step = 0
    while (share := (time.time() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * min(1, step / 50) * 0.5 * (1 + np.cos(np.pi * share))
        images, losses = torch.stack([photo for photo, _ in data]), []
        embeddings = sam.image_encoder(images)
        for embedding, (_, masks) in zip(embeddings, data, strict=True):
            chosen = random.choice(len(masks), min(6, len(masks)), replace=False)
            for index, (click, box, kind) in zip(chosen, prompts(masks[chosen], random), strict=True):
                points = None if kind == 1 else (click[None], torch.ones(1, 1))
                sparse, dense = sam.prompt_encoder(points=points, boxes=None if kind == 0 else box[None], masks=None)
                low, scores = sam.mask_decoder.predict_masks(
                    embedding[None], sam.prompt_encoder.get_dense_pe(), sparse, dense
                )
                target = torch.from_numpy(masks[index]).float()
                target = F.interpolate(target[None, None], scale_factor=0.25, mode="area")[0].expand(4, -1, -1)
                p = low[0].sigmoid()
                bce = F.binary_cross_entropy_with_logits(low[0], target, reduction="none").mean((1, 2))
                dice = 1 - (2 * (p * target).sum((1, 2)) + 1) / (p.sum((1, 2)) + target.sum((1, 2)) + 1)
                each = 5 * bce + dice
                inside, truth = low[0] > 0, target > 0.5
                iou = (inside & truth).sum((1, 2)) / (inside | truth).sum((1, 2)).clamp(min=1)
                losses.append(each[0] + each[1:].min() + 0.1 * each.mean() + F.mse_loss(scores[0], iou.float()))
        loss = torch.stack(losses).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 20 == 0:
            print(step, f"{share:.2f}", f"{loss.item():.4f}", flush=True)
            save(sam)
    save(sam)


def save(sam):
    save_file(
        {name: value.half().contiguous() for name, value in sam.state_dict().items()},
        ROOT / "tests" / "golden" / "sam" / "small.safetensors",
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 12)
