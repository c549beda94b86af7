"""Weights from files and to files. Nothing in a file is run."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskworks.atomic_write import replacing
from maskworks_torch.checkpoints import (
    READER_ERRORS,
    is_safetensors,
    load_safetensors,
    load_torch,
    open_model,
    refused_name,
    start_of,
)
from maskworks_torch.closed_unpickler import ClosedUnpickler
from maskworks_torch.numpy_stand_ins import STAND_INS, Array, ArrayType, encode
from tensormask import caffe2_names
from tensormask.errors import CheckpointError, UnsafeCheckpointError
from tensormask.norms import COUNTER

# Once saved with the weights; the config's values count.
_IGNORED = ("anchor_generator.cell_anchors", "pixel_mean", "pixel_std", COUNTER)
_MASK_BRANCH = "head.mask_"
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
# Names in files of pickled arrays.
_KNOWN = {**STAND_INS, "_codecs.encode": encode, "collections.OrderedDict": OrderedDict}


def load(net: nn.Module, path: Path) -> None:
    """Loads all weights of the network: detectron2's `.pkl` and `.pth`, or safetensors. All in the file are used.

    A network without masks may get its weights from a model with masks.

    Raises:
        CheckpointError: missing, broken, or not of this network. It names the difference.
        UnsafeCheckpointError: reading it would run code from it.
    """
    found, own = read(path), _weights(net)
    missing = [name for name in own if name not in found]
    if missing:
        raise CheckpointError(
            f"{path}: {len(missing)} of {len(own)} weights are missing, the first is {missing[0]}; "
            "expected a TensorMask model for this config"
        )
    different = [name for name in own if found[name].shape != own[name].shape]
    if different:
        name = different[0]
        raise CheckpointError(
            f"{path}: {len(different)} of {len(own)} weights have another shape than the config says, the first is "
            f"{name}: {tuple(found[name].shape)}, expected {tuple(own[name].shape)}; give the config of this model "
            "(NUM_CLASSES and the numbers of channels decide)"
        )
    unused = [name for name in found if name not in own]
    if not any(name.startswith(_MASK_BRANCH) for name in own):
        unused = [name for name in unused if not name.startswith(_MASK_BRANCH)]
    if unused:
        raise CheckpointError(
            f"{path}: {len(unused)} weights in it are none of the network of the config, such as "
            f"{', '.join(unused[:3])}; give the config of this model (DEPTH, NUM_CONVS and the *_ON switches decide)"
        )
    net.load_state_dict(_counters(net) | {name: found[name] for name in own})


def load_pretrained(net: nn.Module, path: Path) -> list[str]:
    """Loads the fitting parameters from ImageNet weights (Caffe2's names, too) or from another model, for a training.

    Returns:
        The names of the network's weights that the file does not have.

    Raises:
        CheckpointError: missing, broken, or nothing in it fits.
        UnsafeCheckpointError: reading it would run code from it.
    """
    found, own = read(path), _weights(net)
    names = caffe2_names.match(list(own), list(found))
    fitting = {name: found[end] for name, end in names.items() if found[end].shape == own[name].shape}
    if not fitting:
        raise CheckpointError(f"{path}: none of its {len(found)} weights fits; expected weights of a ResNet")
    for name in [name for name in fitting if name.endswith(".norm.weight")]:
        # Files of Detectron have the statistics multiplied into scale and shift.
        stem = name.removesuffix("weight")
        if f"{stem}running_mean" not in own:
            continue
        fitting.setdefault(f"{stem}running_mean", torch.zeros_like(own[f"{stem}running_mean"]))
        fitting.setdefault(f"{stem}running_var", torch.ones_like(own[f"{stem}running_var"]))
    net.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def save(net: nn.Module, path: Path) -> None:
    """Writes the weights as safetensors. Under the final name there is a complete file or none."""
    from safetensors.torch import save_file

    with replacing(path) as draft:
        save_file({name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}, draft)


def read(path: Path) -> dict[str, Tensor]:
    """The named tensors in a file, in float32 where they are floats; names of Caffe2 are converted.

    Raises:
        CheckpointError: missing, broken, or without named tensors.
        UnsafeCheckpointError: reading it would run code from it.
    """
    try:
        start = start_of(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; expected a file of weights") from None
    try:
        if is_safetensors(start):
            content: Any = load_safetensors(path)
        elif start.startswith(_ZIP):
            content = _read_torch(path)
        elif start.startswith(_PICKLE):
            content = _read_pickle(path)
        else:
            raise ValueError("neither a pickle, nor of torch.save, nor safetensors")
        return _named_tensors(content)
    except READER_ERRORS as error:
        name = refused_name(error)
        if name:
            words = f"refused: it asks for {name}, which no weights need; nothing was run"
            raise UnsafeCheckpointError(f"{path}: {words}", name) from None
        reason = " ".join(f"{type(error).__name__}: {error}".strip(": ").split())[:200]
        raise CheckpointError(f"{path}: not weights or broken ({reason}); copy or download it again") from None


def _weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in net.state_dict().items() if not name.endswith(COUNTER)}


def _counters(net: nn.Module) -> dict[str, Tensor]:
    return {name: torch.zeros_like(value) for name, value in net.state_dict().items() if name.endswith(COUNTER)}


def _read_torch(path: Path) -> Any:
    content = load_torch(path)
    return content.get("model", content) if isinstance(content, dict) else content


def _read_pickle(path: Path) -> Any:
    with open_model(path) as file:
        if file.read(3) == b"\x80\x02\x8a":  # torch.save before 1.6 begins with a number
            return _read_torch(path)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        # Text of Python 2 is decoded so that nothing of the arrays in it is lost.
        content = ClosedUnpickler(file, _KNOWN, (Array, ArrayType), size, encoding="latin1").load()
    if not isinstance(content, dict):
        return content
    if "model" in content and "__author__" in content:
        return content["model"]
    blobs = content.get("blobs", content)
    if not isinstance(blobs, dict):
        return blobs
    return {
        caffe2_names.convert(name): value
        for name, value in blobs.items()
        if isinstance(name, str) and isinstance(value, (np.ndarray, Tensor)) and not name.endswith("_momentum")
    }


def _named_tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not content:
        raise ValueError("no named tensors in it")
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, (np.ndarray, Tensor)):
            raise ValueError(f"{str(name)[:80]} is {type(value).__name__}, not a tensor")
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    if all(name.startswith("module.") for name in tensors):  # saved from inside of a data-parallel wrapper
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return {name: value for name, value in tensors.items() if not any(word in name for word in _IGNORED)}
