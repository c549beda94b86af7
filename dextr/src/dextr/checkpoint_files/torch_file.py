"""Files that `torch.save` wrote, with the errors of this library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dextr.checkpoint_files.shell_unpickler import ShellUnpickler
from dextr.errors import CheckpointError, UnsafeCheckpointError
from maskworks_torch import torch_file
from maskworks_torch.checkpoints import READER_ERRORS, open_model
from maskworks_torch.closed_unpickler import UnknownName


def read(path: Path) -> Any:
    """The object in the file: plain values, tensors on the CPU, and `Shell`s where it holds instances of classes.

    Raises:
        CheckpointError: the file is in neither format, or broken.
        UnsafeCheckpointError: it needs code to be run.
    """
    try:
        with open_model(path) as file:
            start = file.read(4)
            file.seek(0)
            if start.startswith((torch_file.ZIP_START, torch_file.LEGACY_START)):
                return torch_file.read(file, ShellUnpickler)
    except UnknownName as error:
        script = error.name == torch_file.TORCHSCRIPT
        reason = "it is a TorchScript archive, that is, a program" if script else f"{error}, which no DEXTR model needs"
        advice = "Nothing was run. If you made this file yourself, load it with unsafe=True"
        raise UnsafeCheckpointError(f"{path} is not loaded: {reason}. {advice}", error.name) from None
    except READER_ERRORS as error:
        raise CheckpointError(
            f"{path} is broken or incomplete ({error or type(error).__name__}); get it anew"
        ) from error
    raise CheckpointError(f"{path} is not a model file: it starts with {start!r}; expected safetensors or torch.save")
