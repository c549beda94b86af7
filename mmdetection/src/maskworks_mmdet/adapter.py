"""MMDetection behind the predictor protocol: images in, instances with boxes, masks, classes and scores out."""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from maskworks.errors import DeviceError, Internal
from maskworks.memory_errors import memory_errors
from maskworks.predictor import Result
from maskworks.types import Instance, Instances, Request
from maskworks_mmdet.detections import Detections, detections
from maskworks_mmdet.detector import Detector, load_detector
from maskworks_mmdet.masks import binary_parts, every_nth, paste_into_boxes
from maskworks_mmdet.operators import MISSING, missing_operator
from maskworks_mmdet.options import MmdetConfig
from maskworks_torch.device import dtype_of, select_both

log = logging.getLogger("maskworks.mmdet")

_TRIED = (480, 640)  # height and width of the image that flags are tried with


class MmdetPredictor:
    """A detector, ready to predict.

    Args:
        detector: its model is on the device where it is to run.
        config: which detections count and how their masks are made.
    """

    def __init__(self, detector: Detector, config: MmdetConfig) -> None:
        self._detector, self._config = detector, config
        self.segmenter: Mapping[str, Any] = {
            "type": "mmdet", "config": config.config.name, "model_file": config.checkpoint.name
        }  # fmt: skip

    @classmethod
    def load(cls, config: MmdetConfig) -> MmdetPredictor:
        """Loads the model that the flags name onto the device that they name.

        Raises:
            ConfigError: the number of class names is not that of the model.
            CheckpointError: the config or the checkpoint cannot be used, or they do not fit.
            UnsafeCheckpoint: loading would run code from it, and --unsafe_load is not given.
            DeviceError: the device or the precision is not usable, or --compile does not work here.
        """
        device, precision = select_both(config.device, config.precision)
        detector = load_detector(config)
        model = detector.model.to(device)
        paste_into_boxes(model)
        predictor = cls(detector, config)
        if precision != "fp32":
            _extract_features_in(model, dtype_of(precision), torch.device(device).type)
            predictor._try(f"--precision {precision}", "give fp32")
        if config.compile:
            predictor._compile()
        log.info("%s on %s, %s, %d classes", config.checkpoint.name, device, precision, len(detector.classes))
        return predictor

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        """The instances of each image, those with the highest score first.

        Images of one size after the config's test pipeline go through the model together. Others do not: the padding
        would change their results a little.
        """
        prepared = [self._detector.prepare(request.image) for request in requests]
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, item in enumerate(prepared):
            groups[tuple(item["inputs"].shape)].append(index)
        found: dict[int, Result] = {}
        for indices in groups.values():
            for index, sample in zip(indices, self._run([prepared[i] for i in indices]), strict=True):
                given = detections(sample)
                facts = {"left_out": given.left_out} if given.left_out else {}
                # Some models order their objects by another score than the one that they give.
                instances = Instances(self._instances(given), facts, best_first=True)
                instances.sort(key=lambda instance: instance.score or 0.0, reverse=True)
                found[index] = instances
        return [found[index] for index in range(len(requests))]

    def _compile(self) -> None:
        backbone = getattr(self._detector.model, "backbone", None)
        if backbone is None:
            log.warning("--compile: changes nothing for this model, which has its backbones inside of other models")
            return
        backbone.compile()
        self._try("--compile", "leave the flag out, or install a compiler")

    def _try(self, flag: str, advice: str) -> None:
        """Runs the model once, so that a flag without support fails now, not for each image."""
        image = np.zeros((*_TRIED, 3), np.uint8)
        try:
            self._run([self._detector.prepare(image)])
        except Internal as error:  # an operator that the device lacks, with any flag
            raise DeviceError(error.message) from None
        except Exception as error:  # noqa: BLE001  # compilers and compiled operators may raise anything
            reason = str(error).strip().partition("\n")[0]
            raise DeviceError(f"{flag}: does not work here: {reason}; {advice}") from None

    def _run(self, batch: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        """The model's data samples for prepared images."""
        data = {key: [item[key] for item in batch] for key in ("inputs", "data_samples")}
        try:
            with memory_errors(), torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some heads call functions of torch in ways that are deprecated
                return list(self._detector.model.test_step(data))
        except RuntimeError as error:
            missing = MISSING.search(str(error))
            if missing is None:
                raise
            raise Internal(missing_operator(*missing.groups())) from None

    def _instances(self, given: Detections) -> Iterator[Instance]:
        counted = [one for one in given.found if one.score >= self._config.score]
        threshold = self._config.mask_threshold if self._detector.gives_probabilities else None
        masks = None if given.masks is None else binary_parts(given.masks, threshold, [one.index for one in counted])
        for one in counted:
            part = next(masks) if masks is not None else None
            # Some models with masks have no boxes and give four zeros.
            box = one.box if part is None or (one.box is not None and (one.box[2:] > one.box[:2]).all()) else None
            if part is not None and box is None and not part[0].any():
                continue
            mask, offset = (None, (0, 0)) if part is None else every_nth(*part, self._config.mask_nth)
            name = self._detector.name_of(one.label)
            shown = None if box is None else [round(value, 3) for value in box.tolist()]
            meta = {"class": one.label, "name": name, "box": shown}
            yield Instance(mask, offset, one.label + 1, name, one.score, box, meta)


def _extract_features_in(model: Any, dtype: torch.dtype, device: str) -> None:
    """Lets backbone and neck compute in `dtype`. The heads stay in float32, which their operators need."""
    extract = model.extract_feat

    def extract_feat(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device, dtype):
            features = extract(*args, **kwargs)
        return _as_float(features)

    model.extract_feat = extract_feat


def _as_float(features: Any) -> Any:
    if isinstance(features, torch.Tensor):
        return features.float() if features.is_floating_point() else features
    return type(features)(map(_as_float, features)) if isinstance(features, (list, tuple)) else features
