"""A COCO data set of generated pictures: coloured discs and boxes on a noisy background."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

NAMES = ("disc", "box")
SIZE = (128, 128)  # height, width


def picture(seed: int) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """An image, (H, W, 3) uint8 RGB, and its objects: class and (H, W) uint8 mask, none of them overlapping."""
    random = np.random.default_rng(seed)
    image = random.normal((90, 100, 110), 12, (*SIZE, 3)).clip(0, 255).astype(np.uint8)
    taken = np.zeros(SIZE, np.uint8)
    objects = []
    for _ in range(20):
        kind, mask = int(random.integers(2)), np.zeros(SIZE, np.uint8)
        x, y, radius = (int(v) for v in random.integers((24, 24, 14), (104, 104, 24)))
        if kind == 0:
            cv2.circle(mask, (x, y), radius, 1, -1)
        else:
            corners = cv2.boxPoints(((x, y), (2 * radius, radius), float(random.integers(-30, 30))))
            cv2.fillPoly(mask, [corners.round().astype(np.int32)], 1)
        if (cv2.dilate(mask, np.ones((5, 5))) & taken).any():
            continue
        taken |= mask
        colour = (200, 50, 40) if kind == 0 else (50, 60, 210)
        image[mask == 1] = (np.array(colour) + random.normal(0, 12, (int(mask.sum()), 3))).clip(0, 255)
        objects.append((kind, mask))
        if len(objects) == 3:
            break
    return image, objects


def write_coco(folder: Path, file: str, seeds: range) -> None:
    """Images into `folder/images`, their annotations into `folder/file`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for seed in seeds:
        image, objects = picture(seed)
        name = f"picture{seed:02}.png"
        cv2.imwrite(str(folder / "images" / name), image[:, :, ::-1])
        images.append({"id": seed, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for kind, mask in objects:
            (ring, *_), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            x, y, width, height = cv2.boundingRect(mask)
            annotations.append(
                {
                    "id": len(annotations) + 1 + 1000 * seed,
                    "image_id": seed,
                    "category_id": kind + 1,
                    "bbox": [x, y, width, height],
                    "area": int(mask.sum()),
                    "segmentation": [ring.ravel().tolist()],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(NAMES)]
    (folder / file).write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
