"""TensorMask behind the predictor protocol: images in, instances out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.errors import CheckpointError, ConfigError, UnsafeCheckpoint
from maskworks.memory_errors import memory_errors
from maskworks.predictor import Result as Answer
from maskworks.types import Instance, Instances, Request
from maskworks_tensormask.class_names import class_names
from maskworks_tensormask.options import TensorMaskConfig
from maskworks_torch.device import select_both
from tensormask.errors import CheckpointError as TensorMaskCheckpointError
from tensormask.errors import ConfigError as TensorMaskConfigError
from tensormask.errors import UnsafeCheckpointError
from tensormask.model import Result, TensorMask
from tensormask.paste import Window

log = logging.getLogger("maskworks.tensormask")


class TensorMaskPredictor:
    """A TensorMask model, ready to predict.

    Args:
        model: made ready with `TensorMask.prepare`.
        segmenter: value of `meta.segmenter`.
        names: of the classes.
        threshold: scores are above it.
        batch_size: most images in one run of the network.
        resize: True to resize images as the model's config says.
    """

    def __init__(
        self,
        model: TensorMask,
        segmenter: Mapping[str, Any],
        names: Sequence[str],
        threshold: float,
        batch_size: int,
        *,
        resize: bool = True,
    ) -> None:
        self._model, self.segmenter, self._names, self._threshold = model, segmenter, names, threshold
        self._batch_size, self._resize = batch_size, resize

    @classmethod
    def load(cls, config: TensorMaskConfig) -> TensorMaskPredictor:
        """Loads the model that the flags name onto the device that they name.

        Raises:
            ConfigError: the model's config or its list of classes cannot be used.
            CheckpointError: the model cannot be loaded.
            UnsafeCheckpoint: loading it would run code from it.
            DeviceError: the device or the precision is not usable.
        """
        device, precision = select_both(config.device, config.precision)
        try:
            model = TensorMask.from_files(config.config, config.model)
        except TensorMaskConfigError as error:
            raise ConfigError([f"--config: {error}"]) from None
        except UnsafeCheckpointError as error:
            raise UnsafeCheckpoint(f"--model: {error}") from None
        except TensorMaskCheckpointError as error:
            raise CheckpointError(f"--model: {error}") from None
        names = class_names(config.classes, model.config.num_classes)
        segmenter = {"type": "tensormask", "model_file": config.model.name}
        log.info("%s on %s, %s", config.model.name, device, precision)
        ready = model.prepare(device, precision, compile=config.compile)
        return cls(ready, segmenter, names, config.threshold, 1 if device == "cpu" else 8)

    def predict(self, requests: Sequence[Request]) -> list[Answer]:
        """The objects of each image by falling score."""
        images = [request.image for request in requests]
        if not self._resize and self._model.config.image_format == "BGR":
            images = [image[:, :, ::-1] for image in images]
        predict = self._model.predict if self._resize else self._model.predict_raw
        with memory_errors():
            results = predict(images, threshold=self._threshold, batch_size=self._batch_size)
        return [self._instances(result) for result in results]

    def without_resizing(self) -> TensorMaskPredictor:
        """The same model, for images that go into the network as they are."""
        return TensorMaskPredictor(
            self._model, self.segmenter, self._names, self._threshold, self._batch_size, resize=False
        )

    def _instances(self, result: Result) -> Instances:
        windows = result.windows or (None,) * len(result.scores)
        objects = zip(windows, result.boxes, result.scores, result.classes, strict=True)
        instances = (self._instance(number, *facts) for number, facts in enumerate(objects, start=1))
        return Instances(instances, best_first=True)

    def _instance(
        self, number: int, window: Window | None, box: NDArray[np.float32], score: np.float32, kind: np.int64
    ) -> Instance:
        patch = None if window is None else window.paste()
        return Instance(
            None if patch is None else patch.mask,
            (0, 0) if patch is None else patch.offset,
            label=number,
            name=self._names[int(kind)],
            score=float(score),
            box=box.astype(np.float64),
            meta={"class": int(kind)},
        )
