"""MMDetection on the CPU: Mask R-CNN with ResNet-50 on images of 1333x800, 100 objects found in each.

The weights are random, and every box counts. Peers are `inference_detector` of MMDetection, image by image, and the
same with the polygons as they were made before: `skimage.measure.find_contours` on each mask. Ours is the pipeline of
the commands, from the bytes of a file to OPEX. Agreement is the largest difference of boxes and of scores, and the
number of masks that differ. Post-processing starts at what the mask head gives, 100 ellipses of 28x28.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from skimage.measure import find_contours

from benchmarks.harness import Row, alternate
from maskworks.freed_memory import keep_freed_memory
from maskworks.geometry import compose
from maskworks.pipeline import Pipeline
from maskworks.types import Format, Job, Prediction
from maskworks_mmdet.installation import import_mmdet, missing
from maskworks_mmdet.options import MmdetConfig

SIZE = (800, 1333)


def run() -> Iterator[Row]:
    if missing():
        print("MMDetection is not installed (make mmdetection): left out")
        return
    import_mmdet()
    os.environ.pop("MMDET_CLASSES", None)
    with tempfile.TemporaryDirectory() as name:
        yield from whole_runs(Path(name))
    yield post_processing()


def whole_runs(folder: Path) -> Iterator[Row]:
    """Ours against bare inference, and against inference with polygons."""
    from mmdet.apis import inference_detector, init_detector

    checkpoint, config = random_model(folder)
    image = folder / "image.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    peer = init_detector(str(config), str(checkpoint), palette="random", device="cpu")
    pipeline, seen_format, seen = our_pipeline(checkpoint, config)
    data = image.read_bytes()

    def bare() -> Any:
        return inference_detector(peer, str(image)).pred_instances

    def ours() -> None:
        (outcome,) = pipeline.run([Job("image.png", data, format=seen_format)])
        assert outcome.error is None, outcome.error

    times = alternate(bare, ours, rounds=3)
    yield Row(
        "whole run, against bare inference",
        *times,
        agreement(bare(), seen[-1]),
        f"ours / peer {times[1] / times[0]:.3f}",
    )
    yield Row(
        "whole run, against inference and polygons", *alternate(lambda: old_polygons(bare().masks), ours, rounds=1)
    )


def random_model(folder: Path) -> tuple[Path, Path]:
    """A checkpoint and its config: the stock Mask R-CNN, with random weights."""
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from maskworks_mmdet.configs import find_config, read_config

    config = read_config(find_config(Path("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py")))
    config.model.test_cfg.rcnn.score_thr = 0.0
    config.model.test_cfg.rcnn.mask_thr_binary = 0.5
    config.dump(folder / "config.py")
    init_default_scope("mmdet")
    torch.manual_seed(0)
    classes = [f"class {index}" for index in range(80)]
    state = {"state_dict": MODELS.build(config.model).state_dict(), "meta": {"dataset_meta": {"classes": classes}}}
    torch.save(state, folder / "model.pth")
    return folder / "model.pth", folder / "config.py"


def our_pipeline(checkpoint: Path, config: Path) -> tuple[Pipeline, Format, list[Prediction]]:
    """The pipeline of `mmdet_predict`, a format for its jobs, and the list that gets its predictions."""
    from maskworks.formats import MaskFiles
    from maskworks_mmdet.adapter import MmdetPredictor
    from maskworks_mmdet.results import opex

    keep_freed_memory()  # as the commands do
    settings, seen = MmdetConfig(checkpoint=checkpoint, config=config, device="cpu"), []

    class Seen(MaskFiles):
        def write(self, prediction: Prediction) -> dict[str, bytes]:
            seen.append(prediction)
            return {"result": opex(prediction, settings)}

    return Pipeline(predictor=MmdetPredictor.load(settings)), Seen(), seen


def agreement(theirs: Any, ours: Prediction) -> str:
    """How boxes, scores and masks of the same image differ."""
    boxes = np.abs(np.array([i.box for i in ours.instances]) - theirs.bboxes.numpy()).max()
    scores = np.abs(np.array([i.score for i in ours.instances]) - theirs.scores.numpy()).max()
    masks = theirs.masks.numpy()
    differing = sum(
        bool((compose([i], SIZE) != 0).sum() != m.sum()) for i, m in zip(ours.instances, masks, strict=True)
    )
    differing += sum(((compose([i], SIZE) != 0) != m).any() for i, m in zip(ours.instances, masks, strict=True))
    return f"boxes {boxes:.0e}, scores {scores:.0e}, masks {differing}"


def post_processing() -> Row:
    """From the mask head's 100 small masks to polygons in JSON."""
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from mmengine.config import ConfigDict

    from maskworks.geometry import trace
    from maskworks_mmdet.masks import binary_parts, paste_into_boxes

    head, fast = (FCNMaskHead(num_convs=0, num_classes=1, class_agnostic=True) for _ in range(2))
    paste_into_boxes(torch.nn.Sequential(fast))
    scores, boxes = ellipses(100)
    settings = {
        "img_meta": {"scale_factor": (1.0, 1.0), "ori_shape": SIZE},
        "rcnn_test_cfg": ConfigDict(mask_thr_binary=0.5),
    }

    def pasted(by: Any) -> Any:
        return by._predict_by_feat_single(
            scores, boxes.clone(), torch.zeros(100, dtype=torch.long), rescale=True, **settings
        )

    def ours() -> bytes:
        rings = [region.outer.tolist() for part in binary_parts(pasted(fast), 0.5) for region in trace(*part)]
        return json.dumps(rings).encode()

    return Row("post-processing, 100 objects", *alternate(lambda: old_polygons(pasted(head)), ours, rounds=3))


def old_polygons(masks: torch.Tensor) -> bytes:
    """Polygons by marching squares over each mask as a whole, as text."""
    rings = []
    for mask in masks.numpy():
        contours = find_contours(mask.astype(np.float64), 0.1)
        if contours:
            rings.append([[int(x), int(y)] for y, x in contours[0]])
    return json.dumps(rings).encode()


def ellipses(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, (N, 1, 28, 28), and boxes, (N, 4), of 30 to 400 pixels."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    logits = np.stack(
        [8 * (0.8 - np.hypot(x * random.uniform(1, 1.5), y * random.uniform(1, 1.5))) for _ in range(number)]
    )
    corner = random.uniform(0, (SIZE[1] - 400, SIZE[0] - 400), (number, 2))
    boxes = np.hstack([corner, corner + random.uniform(30, 400, (number, 2))])
    return torch.from_numpy(logits[:, None]).float(), torch.from_numpy(boxes).float()
