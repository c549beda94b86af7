"""The DEXTR model: a net, the settings of its crops, and the prediction of whole-image masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import nn

from dextr import acceleration, architectures
from dextr.checkpoint_files import checkpoints, download
from dextr.errors import UnsafeCheckpointError
from dextr.inference import prediction as inference
from dextr.inference.crop import CropSettings, extreme_points
from dextr.inference.paste import Patch
from dextr.inference.pixels import ImageLike, image_size

_LEAST_POINTS = 4


class DextrModel:
    """A net with the settings that it was trained for.

    Args:
        net: takes float32 (N, 4, h, w): R, G, B and heat map, normalised; gives {"out": logits (N, classes, h, w)},
            whose channel 0 is the object.
        target_size_yx: height and width of the net's input.
        padding: distance, in pixels of the net's input, between its border and the box of the extreme points.
        blob_sigma: standard deviation, in the same pixels, of the Gaussians in the heat map.
    """

    __module__ = "dextr.model"  # its public name, and the original's: pickles look for it there

    URL_PASCALVOC_RESUNET101 = (
        "https://storage.googleapis.com/dextr_pytorch_models_public/dextr_pascalvoc_resunet101-a2d81727.pth"
    )
    SHA256_PASCALVOC_RESUNET101 = "a2d81727"

    def __init__(self, net: nn.Module, target_size_yx: tuple[int, int], padding: int, blob_sigma: float) -> None:
        self.net = net
        self.target_size_yx = target_size_yx
        self.padding = padding
        self.blob_sigma = blob_sigma

    def predict(
        self,
        images: Sequence[ImageLike],
        object_extreme_points: Sequence[ArrayLike] | NDArray[Any],
        torch_device: str | torch.device | None = None,
        batch_size: int = 4,
        num_workers: int = 0,
    ) -> list[NDArray[np.float32]]:
        """Probability maps of objects, one per image; several objects of an image need the image several times.

        The net works in evaluation mode; afterwards it is in the mode it was in.

        Args:
            images: PIL images of any mode; arrays (H, W) grey, (H, W, 3) R G B or (H, W, 4) R G B and alpha, of uint8,
                of floats of 0 to 1, of wider integers, or bool (see `pixels.as_uint8`). Sizes may differ.
            object_extreme_points: for each image four or more rows [y, x], in pixels of the image.
            torch_device: where the inputs go; default: where the net is. The net is not moved.
            batch_size: objects per forward pass.
            num_workers: processes that prepare the inputs; 0 prepares them in this one.

        Returns:
            Per image float32 (H, W), multiples of 1/255 from 0 to 1; 0 outside the crop.

        Raises:
            ValueError: the numbers of images and of point sets differ, or a value is not as described.
            TypeError: an image is neither a PIL image nor an array, or a single image stands in place of the list.
        """
        _check_list(images, len(object_extreme_points))
        checked = [extreme_points(rows) for rows in object_extreme_points]
        for number, rows in enumerate(checked):
            if len(rows) < _LEAST_POINTS:
                raise ValueError(
                    f"object {number} has {len(rows)} extreme points; expected {_LEAST_POINTS} rows [y, x] or more: "
                    "its topmost, leftmost, bottommost and rightmost point"
                )
        patches = self.predict_patches(
            images, checked, batch_size=batch_size, torch_device=torch_device, num_workers=num_workers
        )
        masks = [np.zeros(image_size(image), dtype=np.float32) for image in images]
        for mask, patch in zip(masks, patches, strict=True):
            np.multiply(patch.probability, np.float32(1 / 255), out=mask[patch.slices])
        return masks

    def predict_patches(
        self,
        images: Sequence[ImageLike],
        points: Sequence[ArrayLike] | NDArray[Any],
        *,
        batch_size: int = 1,
        torch_device: str | torch.device | None = None,
        num_workers: int = 0,
    ) -> list[Patch]:
        """Like `predict`, but in 8 bit and only the part of each mask that the crop covers; for a point or more."""
        if len(images) != len(points):
            raise ValueError(
                f"there are {len(images)} images and {len(points)} sets of points; expected a set per image"
            )
        if batch_size < 1:
            raise ValueError(f"the batch size is {batch_size}; expected at least 1")
        device = torch.device(torch_device) if torch_device is not None else self.device
        checked = [extreme_points(rows) for rows in points]
        return inference.predict_patches(
            self.net, self.crop_settings, images, checked, device=device, batch_size=batch_size, num_workers=num_workers
        )

    @property
    def crop_settings(self) -> CropSettings:
        """The form of the net's input."""
        return CropSettings(self.target_size_yx, self.padding, self.blob_sigma)

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        tensor = next(self.net.parameters(), None)
        return torch.device("cpu") if tensor is None else tensor.device

    def train(self) -> None:
        """Switches the net to training mode."""
        self.net.train()

    def eval(self) -> None:
        """Switches the net to evaluation mode."""
        self.net.eval()

    def to(self, device: str | torch.device) -> DextrModel:
        """Moves the net; returns self."""
        self.net.to(device)
        return self

    def prepare(
        self,
        device: str | torch.device = "cpu",
        precision: acceleration.Precision = "fp32",
        *,
        compile: bool = False,
        channels_last: bool = True,
    ) -> DextrModel:
        """A copy that predicts faster and cannot be trained; see `acceleration.prepare`. This model stays as it is."""
        net = acceleration.prepare(
            self.net, self.target_size_yx, device, precision, compile=compile, channels_last=channels_last
        )
        return DextrModel(net, self.target_size_yx, self.padding, self.blob_sigma)

    @classmethod
    def from_file(
        cls, path: str | Path, map_location: str | torch.device = "cpu", *, unsafe: bool = False
    ) -> DextrModel:
        """Loads a model file without running code from it; the net is in evaluation mode.

        Args:
            path: our safetensors or `.pth` files, or a file of the original dextr (legacy or zip format).
            map_location: where the net goes.
            unsafe: for files that come with code of their own: unpickle them and run it. Only for files of your own.

        Raises:
            CheckpointError: the file is missing, broken, or no DEXTR model.
            UnsafeCheckpointError: reading it would run code from it, and `unsafe` is off.
        """
        try:
            checkpoint = checkpoints.load(path)
        except UnsafeCheckpointError:
            if not unsafe:
                raise
            unpickled = checkpoints.load_unsafe(path)
            if isinstance(unpickled, cls):
                unpickled.eval()
                return unpickled.to(map_location)
            checkpoint = checkpoints.from_object(unpickled, str(path))
        return cls.from_checkpoint(checkpoint).to(map_location)

    @classmethod
    def from_checkpoint(cls, checkpoint: checkpoints.Checkpoint) -> DextrModel:
        """The model of plain data, on the CPU and in evaluation mode.

        Raises:
            CheckpointError: the data makes no model.
        """
        net = checkpoint.build_net().eval()
        return cls(net, checkpoint.target_size_yx, checkpoint.padding, checkpoint.blob_sigma)

    def checkpoint(self) -> checkpoints.Checkpoint:
        """The model as plain data, for `save` or, with more entries beside `as_dict()`, for `torch.save`.

        Raises:
            ValueError: the net is none of `architectures.NAMES`, e.g. because it was made by `prepare`.
        """
        height, width = self.target_size_yx
        arch = architectures.name_of(self.net)
        return checkpoints.Checkpoint(arch, self.net.state_dict(), (height, width), self.padding, self.blob_sigma)

    def save(self, path: str | Path, dtype: torch.dtype | None = None) -> None:
        """Writes a safetensors file that holds the weights, the architecture and the settings.

        Args:
            path: the file; it is replaced in one step.
            dtype: the type that floating-point weights are stored in, e.g. torch.float16 for half the size; default: as
                they are. They are loaded as float32.

        Raises:
            ValueError: as for `checkpoint`.
        """
        checkpoints.save(self.checkpoint(), path, dtype)

    @staticmethod
    def pascalvoc_resunet101(map_location: str | torch.device = "cpu") -> DextrModel:
        """The original's published model: ResUNet-101, trained on Pascal VOC 2012. Downloaded once, 212 MB.

        Raises:
            DownloadError: it cannot be fetched; the text says where to put the file by hand.
        """
        path = download.cached_file(DextrModel.URL_PASCALVOC_RESUNET101, DextrModel.SHA256_PASCALVOC_RESUNET101)
        return DextrModel.from_file(path, map_location)


def _check_list(images: Any, sets: int) -> None:
    """Refuses a single image in place of the list of images; a stack of images is one."""
    axes = getattr(images, "ndim", None)  # of arrays and tensors
    if isinstance(images, Image.Image) or (axes is not None and (axes < 3 or (axes == 3 and len(images) != sets))):
        raise TypeError(
            f"images is a single {type(images).__name__}; expected a list of images, as in predict([image], [points])"
        )
