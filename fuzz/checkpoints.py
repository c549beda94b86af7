"""Model files: whatever is in them, none of it runs."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from dextr.errors import DextrError
from dextr.model import DextrModel
from fuzz.target import Target
from maskworks.errors import MaskworksError
from maskworks_torch.checkpoints import load_state_dict

# What code that was smuggled in would have to do to be worth the trouble.
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "pty.spawn")
_watching = False


class Smuggled:
    """Asks to be loaded by running a command."""

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return os.system, ("true",)


def state_dicts() -> Iterable[bytes]:
    state = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2, dtype=torch.float16)}
    for content in (state, {"state_dict": state, "epoch": 3}, {"model": state}, [1, "a", None], Smuggled()):
        for legacy in (False, True):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
            yield buffer.getvalue()
        yield pickle.dumps(content)
    yield save(state)


def model_files() -> Iterable[bytes]:
    """Models as the published package writes them, with an empty network, and as ours does."""
    settings = {"target_size_yx": (64, 64), "padding": 10, "blob_sigma": 10.0}
    for content in ({"format": "dextr-1", "arch": "mobileunet", "state_dict": {}, **settings}, Smuggled()):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        yield buffer.getvalue()
    names = {"format": "dextr-1", "arch": "mobileunet", "target_size_yx": "[64, 64]", "padding": "10"}
    yield save({"a": torch.zeros(1)}, metadata={**names, "blob_sigma": "10.0"})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"cdextr.model\nDextrModel\n)R}(X\x03\x00\x00\x00netK\x01ub.")
        archive.writestr("archive/version", "3\n")
    yield buffer.getvalue()


def run_state_dict(data: bytes) -> None:
    """Named tensors come out, or an error of ours."""
    run_file(data, load_state_dict, MaskworksError)


def run_model_file(data: bytes) -> None:
    """A DEXTR model comes out, or an error of the library."""
    run_file(data, DextrModel.from_file, DextrError)


def run_file(data: bytes, load: Callable[[Path], object], allowed: type[Exception]) -> None:
    """A file with these bytes is loaded, or refused with an error of this type, and nothing in it runs."""
    global _watching  # noqa: PLW0603 - audit hooks cannot be taken away again, so this one is switched
    path = Path(tempfile.gettempdir()) / f"maskworks-fuzz-{os.getpid()}"
    path.write_bytes(data)
    _watching = True
    try:
        load(path)
    except allowed:
        pass
    finally:
        _watching = False
        path.unlink()


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if _watching and event in _FORBIDDEN:
        # Not an Exception: no reader is to mistake it for a broken file.
        os.write(2, f"a model file made the reader do {event} {args!r}\n".encode())
        os.abort()


sys.addaudithook(_refuse)

STATE_DICT = Target(run_state_dict, state_dicts, longest=8192)
MODEL_FILE = Target(run_model_file, model_files, longest=8192)
