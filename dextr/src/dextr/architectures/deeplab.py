"""DeepLabV3 on ResNet-101 (Chen et al., "Rethinking Atrous Convolution", 2017), output stride 8."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from torchvision.models.segmentation import deeplabv3_resnet101
from torchvision.models.segmentation.deeplabv3 import DeepLabV3

from dextr.architectures.blocks import PRETRAINED, four_channel_conv, load_backbone


class DextrDeepLab3(DeepLabV3):  # type: ignore[misc]  # torchvision has no types
    """torchvision's DeepLabV3 with the parameter groups of DEXTR.

    Input (N, 4, h, w) of any size; output {"out": logits (N, num_classes, h, w), "aux": the same shape}. Training needs
    at least two samples per batch, because one of its branches normalises pooled features.
    """

    @property
    def pretrained_parameters(self) -> list[nn.Parameter]:
        """All parameters but those of the last convolutions."""
        new = {id(parameter) for parameter in self.new_parameters}
        return [parameter for parameter in self.parameters() if id(parameter) not in new]

    @property
    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters of the last convolution of the classifier and of the auxiliary classifier."""
        return [*self.classifier[4].parameters(), *self.aux_classifier[4].parameters()]


def dextr_deeplab3(num_classes: int = 1, backbone_weights: str | Path | None = PRETRAINED) -> DextrDeepLab3:
    """DeepLabV3 on ResNet-101.

    Args:
        num_classes: channels of the logits.
        backbone_weights: "imagenet" for torchvision's DeepLabV3 (downloaded; trained on ImageNet, then on COCO with the
            labels of Pascal VOC), None for random ones, or a file with a DeepLabV3's state dict of 21 classes.
    """
    published = backbone_weights == PRETRAINED
    weights = "COCO_WITH_VOC_LABELS_V1" if published else None
    source = deeplabv3_resnet101(weights=weights, weights_backbone=None, num_classes=21, aux_loss=True)
    load_backbone(source, None if published else backbone_weights)
    source.backbone.conv1 = four_channel_conv(source.backbone.conv1)
    source.classifier[4] = nn.Conv2d(256, num_classes, 1)
    source.aux_classifier[4] = nn.Conv2d(256, num_classes, 1)
    return DextrDeepLab3(source.backbone, source.classifier, source.aux_classifier)
