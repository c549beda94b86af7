"""The TensorMask model: a network with its config, from images to masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maskworks_torch.device import Precision
from tensormask import acceleration, checkpoints, preprocessing
from tensormask.config import Config
from tensormask.detection import Candidates, detect
from tensormask.network import Output, TensorMaskNet, build
from tensormask.paste import Patch, Window
from tensormask.preprocessing import Array


@dataclass(frozen=True, eq=False)
class Result:
    """The detections in one image, by falling score; n objects.

    Attributes:
        size: height and width of the image.
        boxes: float32 (n, 4) of x0, y0, x1, y1 in pixels of the image, clipped to it.
        scores: float32 (n,), 0 to 1.
        classes: int64 (n,), from 0.
        windows: of each object its mask, not pasted into the image yet; empty where the config has no masks.
    """

    size: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    windows: tuple[Window, ...]

    @property
    def patches(self) -> tuple[Patch, ...]:
        """Of each object the part of its mask around it. Together they may take far more than `windows`."""
        return tuple(window.paste() for window in self.windows)

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """bool (n, H, W); (0, H, W) where nothing was found or the config has no masks."""
        masks = np.zeros((len(self.windows), *self.size), dtype=bool)
        for mask, window in zip(masks, self.windows, strict=True):
            window.paste().paste(mask)
        return masks


class TensorMask:
    """A TensorMask model for inference.

    Args:
        net: with its weights. It is put into evaluation mode.
        device: where it runs.
    """

    def __init__(self, net: TensorMaskNet, device: str | torch.device = "cpu") -> None:
        self.config = net.config
        self.device = torch.device(device)
        self.net = net.to(self.device).eval().requires_grad_(False)

    @classmethod
    def from_files(cls, config: str | Path, checkpoint: str | Path, device: str | torch.device = "cpu") -> TensorMask:
        """Loads a model.

        Args:
            config: YAML as of detectron2; files that it names as `_BASE_` have to be there.
            checkpoint: `.pkl` or `.pth` as of detectron2, or `.safetensors`. Nothing in it is run.
            device: where it shall run.

        Raises:
            ConfigError: the config cannot be used, or its network is too large.
            CheckpointError: the checkpoint cannot be read, or does not belong to the config.
        """
        net = build(Config.from_file(config))
        checkpoints.load(net, Path(checkpoint))
        return cls(net, device)

    def prepare(
        self, device: str | torch.device | None = None, precision: Precision = "fp32", *, compile: bool = False
    ) -> TensorMask:
        """A copy of the model that gives the same answers in less time; see `acceleration.prepare`.

        Answers differ by rounding: scores by about 1e-5 in float32. The model itself has to be on the CPU.
        """
        device = self.device if device is None else device
        return TensorMask(acceleration.prepare(self.net, device, precision, compile=compile), device)

    def predict(self, images: Sequence[Array], *, threshold: float | None = None, batch_size: int = 1) -> list[Result]:
        """Finds objects in images; they are resized as the config says, results are in their own size.

        An answer does not depend on the other images: only images that need the same padding share a batch.

        Args:
            images: (H, W, 3) uint8, R G B, of any sizes.
            threshold: scores are above it; by default the config's SCORE_THRESH_TEST.
            batch_size: most images in one run of the network.

        Raises:
            TypeError, ValueError: an image is not as described.
        """
        checked = [preprocessing.check(image, number) for number, image in enumerate(images)]
        config = self.config
        sizes = [
            preprocessing.resized_size((x.shape[0], x.shape[1]), config.min_size_test, config.max_size_test)
            for x in checked
        ]
        inputs = [preprocessing.resize(image, size) for image, size in zip(checked, sizes, strict=True)]
        if config.image_format == "BGR":
            inputs = [image[:, :, ::-1] for image in inputs]
        return self._run(inputs, [(x.shape[0], x.shape[1]) for x in checked], threshold, batch_size)

    def predict_raw(
        self, images: Sequence[Array], *, threshold: float | None = None, batch_size: int = 1
    ) -> list[Result]:
        """Like `predict`, for images that are the network's input: not resized, in the colour order of the config.

        Args:
            images: (H, W, 3) uint8, with most configs B G R.
            threshold, batch_size: as of `predict`.
        """
        checked = [preprocessing.check(image, number) for number, image in enumerate(images)]
        return self._run(checked, [(x.shape[0], x.shape[1]) for x in checked], threshold, batch_size)

    def _run(
        self, inputs: Sequence[Array], sizes: Sequence[tuple[int, int]], threshold: float | None, batch_size: int
    ) -> list[Result]:
        groups: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(inputs):
            groups.setdefault(preprocessing.padded_size((image.shape[0], image.shape[1])), []).append(number)
        results: dict[int, Result] = {}
        for group in groups.values():
            for start in range(0, len(group), max(1, batch_size)):
                chosen = group[start : start + max(1, batch_size)]
                found = self.predict_batch([inputs[i] for i in chosen], [sizes[i] for i in chosen], threshold)
                results.update(zip(chosen, found, strict=True))
        return [results[number] for number in range(len(inputs))]

    @torch.inference_mode()
    def predict_batch(
        self, inputs: Sequence[Array], sizes: Sequence[tuple[int, int]], threshold: float | None = None
    ) -> list[Result]:
        """One run of the network for inputs of any sizes; the smaller ones are padded, as the original does.

        Args:
            inputs: (h, w, 3) uint8 each, the network's input in the config's colour order; at least one.
            sizes: height and width that each result shall have.
            threshold: as of `predict`.
        """
        if threshold is None:
            threshold = self.config.score_thresh
        tensors = [preprocessing.as_tensor(image) for image in inputs]
        output = self.net(preprocessing.batch(tensors, self.config, self.device))
        return [
            self._result(output.of(number), (image.shape[0], image.shape[1]), size, threshold)
            for number, (image, size) in enumerate(zip(inputs, sizes, strict=True))
        ]

    def _result(self, output: Output, input_size: tuple[int, int], size: tuple[int, int], threshold: float) -> Result:
        found = detect(output, 0, self.config, threshold)
        (height, width), (scale_y, scale_x) = size, (size[0] / input_size[0], size[1] / input_size[1])
        scale = found.boxes.new_tensor([scale_x, scale_y, scale_x, scale_y])
        boxes = torch.minimum((found.boxes * scale).clamp(min=0), scale.new_tensor([width, height, width, height]))
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        found, boxes = found[seen.nonzero()[:, 0]], boxes[seen]
        windows = self._windows(output, found, scale, size) if self.config.mask_on else ()
        return Result(size, boxes.cpu().numpy(), found.scores.cpu().numpy(), found.classes.cpu().numpy(), windows)

    @staticmethod
    def _windows(output: Output, found: Candidates, scale: torch.Tensor, size: tuple[int, int]) -> tuple[Window, ...]:
        # A mask lies in the box of its anchor, not in the predicted one.
        boxes = (found.anchors * scale).tolist()
        windows: dict[int, Window] = {}
        for numbers, logits in output.masks.at(found.at):
            for number, own in zip(numbers.tolist(), logits, strict=True):
                windows[number] = Window(own, tuple(boxes[number]), size)
        return tuple(windows[number] for number in range(len(boxes)))
