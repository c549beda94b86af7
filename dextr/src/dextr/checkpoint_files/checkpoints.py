"""Model files: ours (safetensors, and `.pth` from training) and whole pickled models, as the original writes them.

Ours hold the weights, a format tag, the architecture's name (see `architectures`; it tells the numbers of blocks too)
and the settings of the crops: in a `.pth` as a dict of plain values, beside any other keys; in safetensors as the
metadata.
"""

from __future__ import annotations

import json
import operator
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from dextr import architectures
from dextr.architectures.blocks import check_size
from dextr.checkpoint_files import pickled_model, torch_file
from dextr.checkpoint_files.shell_unpickler import Shell
from dextr.errors import CheckpointError
from maskworks.atomic_write import replacing
from maskworks_torch.checkpoints import check_header, is_safetensors, load_torch, start_of

FORMAT = "dextr-1"
_MOST_SIGMA = 1e6  # pixels; its square has to be a number


@dataclass(frozen=True)
class Checkpoint:
    """A DEXTR model as plain data; the settings are those of `DextrModel`. `origin` is for error messages."""

    arch: str
    state_dict: dict[str, torch.Tensor]
    target_size_yx: tuple[int, int]
    padding: int
    blob_sigma: float
    origin: str = "the checkpoint"

    @classmethod
    def from_values(cls, values: Mapping[str, Any], origin: str) -> Checkpoint:
        """From entries of the names of the fields; other entries are ignored.

        Raises:
            CheckpointError: an entry is missing, or its value is of the wrong kind or out of range.
        """
        try:
            height, width = map(operator.index, values["target_size_yx"])
            size = (height, width)
            padding, sigma = int(values["padding"]), float(values["blob_sigma"])
            if not 0 <= 2 * padding < min(size):
                raise ValueError(f"a padding of {padding} does not fit into a target of {size} (height, width)")
            if not 0 < sigma < _MOST_SIGMA:
                raise ValueError(f"a blob_sigma of {sigma}, which is not between 0 and {_MOST_SIGMA:.0f}")
            state_dict = dict(values["state_dict"])
            if not all(isinstance(value, torch.Tensor) for value in state_dict.values()):
                raise TypeError("the state dict holds something else than tensors")
            return cls(str(values["arch"]), state_dict, size, padding, sigma, origin=origin)
        except KeyError as error:
            raise CheckpointError(f"{origin} has no entry {error}; expected a DEXTR model with its settings") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{origin} has settings that are not those of a DEXTR model: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """Plain values and tensors: `torch.save` writes them so that `weights_only=True` reads them."""
        return {
            "format": FORMAT,
            "arch": self.arch,
            "state_dict": self.state_dict,
            "target_size_yx": self.target_size_yx,
            "padding": self.padding,
            "blob_sigma": self.blob_sigma,
        }

    def build_net(self) -> nn.Module:
        """The net with these weights, in float32.

        Raises:
            CheckpointError: the architecture is unknown, the weights are not all of its weights, or it cannot take the
                target size.
        """
        try:
            with torch.device("meta"):  # nothing is allocated or drawn only to be replaced
                net = architectures.build(self.arch, architectures.num_classes_of(self.state_dict))
            check_size(self.target_size_yx, getattr(net, "BLOCK_SIZE", (1, 1)))
            net.load_state_dict(self.state_dict, assign=True)
            return net.float()  # only now: there are as many weights as the net has, not as many as the file claims
        except (LookupError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.origin}: it does not make a {self.arch}: {str(error)[:500]}") from error


def load(path: str | Path) -> Checkpoint:
    """Reads a model file, by its content, not its name, onto the CPU. No code from the file is run.

    Raises:
        CheckpointError: the file is missing, broken, or no DEXTR model.
        UnsafeCheckpointError: reading it would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no model file {path}")
    try:
        start = start_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return _load_safetensors(path) if is_safetensors(start) else from_object(torch_file.read(path), str(path))


def load_unsafe(path: str | Path) -> object:
    """The object in a `torch.save` file, on the CPU, made by running the code in the file.

    Raises:
        CheckpointError: that fails.
    """
    warnings.warn(f"{path} is unpickled: code from the file is run", stacklevel=3)
    try:
        return load_torch(path, unsafe=True)
    except Exception as error:  # the file's own code can raise anything
        raise CheckpointError(f"{path} cannot be unpickled: {type(error).__name__}: {error}") from error


def from_object(value: object, origin: str) -> Checkpoint:
    """A checkpoint from the content of a `torch.save` file: the dict of `as_dict`, or the shells of a whole model."""
    if isinstance(value, Shell):
        return Checkpoint.from_values(pickled_model.values(value, origin), origin)
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return Checkpoint.from_values(value, origin)
    raise CheckpointError(
        f"{origin} holds a {type(value).__name__} without the format tag {FORMAT!r}; expected a DEXTR model with its "
        "settings (weights alone do not tell the size of the crops)"
    )


def save(checkpoint: Checkpoint, path: str | Path, dtype: torch.dtype | None = None) -> None:
    """Writes a safetensors file in one step, with floating-point weights as `dtype` (default: as they are)."""
    tensors = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for name, value in checkpoint.state_dict.items()
    }
    metadata = {
        "format": FORMAT,
        "arch": checkpoint.arch,
        "num_classes": str(architectures.num_classes_of(tensors)),
        "target_size_yx": json.dumps(checkpoint.target_size_yx),
        "padding": str(checkpoint.padding),
        "blob_sigma": str(checkpoint.blob_sigma),
    }
    with replacing(Path(path)) as draft:
        save_file(tensors, draft, metadata)


def _load_safetensors(path: Path) -> Checkpoint:
    try:
        check_header(path)
        with safe_open(path, framework="pt") as file:
            values = dict(file.metadata() or {})
            values["state_dict"] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        values["target_size_yx"] = json.loads(values.get("target_size_yx", "null"))
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is a broken safetensors file ({error}); get it anew") from error
    if values.get("format") != FORMAT:
        found = f"names the format {values['format']!r}" if "format" in values else "names no format"
        raise CheckpointError(f"{path} is no model of DEXTR: its header {found}; expected {FORMAT!r}")
    return Checkpoint.from_values(values, str(path))
