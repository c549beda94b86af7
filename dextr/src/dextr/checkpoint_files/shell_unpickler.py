"""The closed table by which whole pickled models are read.

Classes become empty shells that only keep the attributes they are given. A name that is in no table ends the reading.
"""

from __future__ import annotations

from typing import IO, ClassVar

from maskworks_torch.tensor_unpickler import LoadStorage, TensorUnpickler


class Shell:
    """The remains of an instance of a foreign class: its attributes. `kind` is the full name of that class."""

    kind: ClassVar[str] = ""

    def __new__(cls, *_args: object, **_kwargs: object) -> Shell:
        return super().__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...


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


class ShellUnpickler(TensorUnpickler):
    """Reads one pickle by the table above, and those of tensors and plain values."""

    def __init__(self, file: IO[bytes], load_storage: LoadStorage, size: int) -> None:
        # Each reading has classes of its own: a pickle can set attributes of a class.
        shells = {
            f"{module}.{name}": type(name, (Shell,), {"kind": f"{module}.{name}"})
            for module, names in _CLASSES.items()
            for name in names.split()
        }
        super().__init__(file, load_storage, size, shells)
