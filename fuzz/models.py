"""The models' own files: weights of SAM, TensorMask and MMDetection, and SAM's cached embeddings."""

from __future__ import annotations

import io
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from fuzz.checkpoints import Smuggled, run_file
from fuzz.target import Target
from maskworks.errors import CheckpointError
from maskworks_mmdet.checkpoints import read_checkpoint
from maskworks_sam.checkpoint import Architecture, load_sam
from maskworks_sam.folder_cache import FolderCache
from tensormask import checkpoints as tensormask_checkpoints
from tensormask.errors import CheckpointError as TensorMaskError

_SHAPE = (2, 3, 4)
_SAM = Architecture(
    img_size=32, patch_size=16, embed_dim=4, depth=1, num_heads=1, mlp_dim=4, window_size=0, global_attn_indexes=(0,),
    out_chans=16, mask_in_chans=4, decoder_depth=1, decoder_mlp_dim=4, masks=2, iou_head_dim=4, iou_head_depth=1,
)  # fmt: skip


def sam_files() -> Iterable[bytes]:
    """The smallest SAM there is, and nothing but its shapes."""
    state = {name: torch.zeros(value.shape, dtype=torch.float16) for name, value in _SAM.build().state_dict().items()}
    yield save(state)
    yield save({name: value for name, value in state.items() if name.startswith("image_encoder")})


def run_sam_file(data: bytes) -> None:
    """A model comes out, or an error of ours."""
    run_file(data, load_sam, CheckpointError)


def tensormask_files() -> Iterable[bytes]:
    """Pickled arrays of Python 3 and, with protocol 2, of Python 2; what detectron2 and Caffe2 write; torch's files."""
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(2), "c": np.ones(2, ">i4")}
    named = OrderedDict(conv1_w=arrays["a"], res_conv1_bn_s=arrays["c"], conv1_w_momentum=arrays["a"])
    contents = (arrays, {"model": arrays, "__author__": "x", "matching_heuristics": True}, {"blobs": named}, Smuggled())
    for content in contents:
        for protocol in (2, 3, 4, 5):
            yield pickle.dumps(content, protocol)
    buffer = io.BytesIO()
    torch.save({"model": {"module.a": torch.ones(2)}, "iteration": 3}, buffer)
    yield buffer.getvalue()
    yield save({"a": torch.ones(2)})


def run_tensormask_file(data: bytes) -> None:
    """Tensors come out, or an error of the library."""
    run_file(data, tensormask_checkpoints.read, TensorMaskError)


def mmdet_files() -> Iterable[bytes]:
    """What MMEngine writes: weights, names of classes, and a log with numbers of numpy."""
    state = OrderedDict({"module.a": torch.ones(2), "b._orig_mod.c": torch.zeros(1)})
    meta = {"dataset_meta": {"CLASSES": ("a", "b")}, "time": np.float64(3), "log": np.arange(3), "range": slice(1, 2)}
    for content in ({"state_dict": state, "meta": meta}, {"model": state, "meta": {"classes": "a"}}, Smuggled()):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        yield buffer.getvalue()
        yield pickle.dumps(content, 2)


def run_mmdet_file(data: bytes) -> None:
    """Weights and names come out, or an error of ours."""
    run_file(data, read_checkpoint, CheckpointError)


def embeddings() -> Iterable[bytes]:
    """A file of the cache, and files of other programs."""
    with tempfile.TemporaryDirectory() as folder:
        FolderCache(Path(folder), 1 << 20, _SHAPE).put("key", torch.arange(24.0).view(_SHAPE))
        yield (Path(folder) / "key.safetensors").read_bytes()
    for kind in (torch.bfloat16, torch.int8):
        yield save({"embedding": torch.zeros(_SHAPE, dtype=kind)}, {"blake2b": "0"})


def run_embedding(data: bytes) -> None:
    """The embedding comes out, or nothing; nothing is raised."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "key.safetensors").write_bytes(data)
        found = FolderCache(Path(folder), 1 << 20, _SHAPE).get("key")
    assert found is None or (tuple(found.shape), found.dtype) == (_SHAPE, torch.float32)


SAM_FILE = Target(run_sam_file, sam_files, longest=40960)
EMBEDDING = Target(run_embedding, embeddings)
TENSORMASK_FILE = Target(run_tensormask_file, tensormask_files)
MMDET_FILE = Target(run_mmdet_file, mmdet_files, longest=8192)
