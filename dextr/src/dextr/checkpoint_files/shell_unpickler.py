"""The closed tables by which whole pickled models are read.

Classes become empty shells that only keep the attributes they are given, and the few functions that rebuild tensors are
our own. A name that is in no table ends the reading.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import IO, Any, ClassVar

import torch

from maskworks_torch.closed_unpickler import ClosedUnpickler
from maskworks_torch.numpy_stand_ins import STAND_INS, Array, ArrayType, encode


class Shell:
    """The remains of an instance of a foreign class: its attributes. `kind` is the full name of that class."""

    kind: ClassVar[str] = ""

    def __new__(cls, *_args: object, **_kwargs: object) -> Shell:
        return super().__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...


def rebuild_tensor(
    storage: torch.Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_flags: object
) -> torch.Tensor:
    """A strided view of a flat tensor; torch refuses one that reaches beyond it.

    Raises:
        pickle.UnpicklingError: it has more elements than the flat tensor: a copy could take any memory.
    """
    shape = torch.Size(size)
    if math.prod(shape) > storage.numel():
        raise pickle.UnpicklingError(f"a tensor of shape {tuple(shape)} in a storage of {storage.numel()} elements")
    return torch.as_strided(storage, shape, tuple(stride), offset)


def rebuild_parameter(data: torch.Tensor, *_flags: object) -> torch.Tensor:
    """The parameter's values."""
    return data


# The classes in whole models, the original's from torch 1.4 to 2.11 and ours, of all architectures.
_CLASSES = {
    "dextr.model": "DextrModel",
    "dextr.data_pipeline.dextr_transforms": "DextrCropWithHeatmapTransform DextrToTensor DextrNormalize",
    "dextr.architectures.resunet": "ResUNet DecoderBlock",
    "dextr.architectures.denseunet": "DenseUNet DecoderBlock",
    "dextr.architectures.blocks": "DecoderBlock",
    "dextr.architectures.deeplab": "DextrDeepLab3",
    "dextr.architectures.mobileunet": "MobileUNet LightDecoderBlock",
    "torchvision.transforms.transforms": "Compose",
    "torchvision.models.resnet": "ResNet Bottleneck",
    "torchvision.models.densenet": "DenseNet _DenseBlock _DenseLayer _Transition",
    "torchvision.models.mobilenetv3": "InvertedResidual",
    "torchvision.models.segmentation.deeplabv3": "DeepLabV3 DeepLabHead ASPP ASPPConv ASPPPooling",
    "torchvision.models.segmentation.fcn": "FCNHead",
    "torchvision.models._utils": "IntermediateLayerGetter",
    "torchvision.ops.misc": "Conv2dNormActivation SqueezeExcitation",
    "torch.nn.modules.activation": "ReLU Hardswish Hardsigmoid",
    "torch.nn.modules.batchnorm": "BatchNorm2d",
    "torch.nn.modules.container": "Sequential ModuleList",
    "torch.nn.modules.conv": "Conv2d",
    "torch.nn.modules.dropout": "Dropout",
    "torch.nn.modules.linear": "Linear",
    "torch.nn.modules.pooling": "MaxPool2d AvgPool2d AdaptiveAvgPool2d",
    "torch.nn.modules.upsampling": "Upsample",
}
_STORAGES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
}
_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "__builtin__.set": set,
    "builtins.set": set,
    "_codecs.encode": encode,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    **{f"torch.{storage}": dtype for storage, dtype in _STORAGES.items()},
    **STAND_INS,
}
_CHANGEABLE = (Shell, OrderedDict, Array, ArrayType)


class ShellUnpickler(ClosedUnpickler):
    """Reads one pickle by the tables above.

    Args:
        file: open in binary mode, at the start of the pickle.
        load_storage: gives the flat tensor for (dtype, key, number of elements).

    Raises (from `load`):
        UnknownName: a name that is in none of the tables.
        pickle.UnpicklingError, and any error of a malformed pickle.
    """

    # A few bytes of a file could take any memory; torch never writes that.
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code: load for code, load in ClosedUnpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(self, file: IO[bytes], load_storage: Callable[[torch.dtype, str, int], torch.Tensor]) -> None:
        # Each reading has classes of its own: a pickle can set attributes of a class.
        shells = {
            f"{module}.{name}": type(name, (Shell,), {"kind": f"{module}.{name}"})
            for module, names in _CLASSES.items()
            for name in names.split()
        }
        super().__init__(file, _KNOWN | shells, _CHANGEABLE)
        self._load_storage = load_storage

    def persistent_load(self, pid: Any) -> Any:
        """Storages by number; classes, which the legacy format wraps together with their source text, by name."""
        if isinstance(pid, tuple) and pid and pid[0] == "module":
            return pid[1]
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise pickle.UnpicklingError("a persistent id that is neither a storage nor a class")
        _, dtype, key, _location, count, *view = pid
        flat = self._load_storage(dtype, str(key), int(count))
        if not view or view[0] is None:
            return flat
        _key, offset, length = view[0]
        return flat[offset : offset + length]
