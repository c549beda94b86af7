"""What a checkpoint is, told by its weights, and what is said about those that are none."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from segment_anything import sam_model_registry

from maskworks.errors import CheckpointError, UnsafeCheckpoint
from maskworks_sam.checkpoint import Architecture, fingerprint, load_sam
from tests.support.sam_models import CHECKPOINT, random_sam


@pytest.fixture(scope="module")
def weights():
    return random_sam().state_dict()


@pytest.mark.parametrize("name", ["vit_h", "vit_l", "vit_b"])
def test_the_published_models_are_known_by_their_shapes(name):
    with torch.device("meta"):
        weights = sam_model_registry[name]().state_dict()
    architecture = Architecture.of(weights)
    assert architecture.model_type == name
    built = architecture.build().state_dict()
    assert {key: value.shape for key, value in built.items()} == {key: value.shape for key, value in weights.items()}
    blocks = architecture.build().image_encoder.blocks
    assert [block.attn.num_heads for block in blocks] == [16 if name != "vit_b" else 12] * len(blocks)
    with torch.device("meta"):
        expected = [block.window_size for block in sam_model_registry[name]().image_encoder.blocks]
    assert [block.window_size for block in blocks] == expected


@pytest.mark.parametrize("form", ["pth", "safetensors", "nested"])
def test_both_file_formats_load(tmp_path, weights, form):
    path = tmp_path / "model"
    if form == "safetensors":
        save_file(weights, path)
    else:
        torch.save({"model": weights} if form == "nested" else weights, path)
    sam, model_type = load_sam(path)
    assert model_type == "vit_64x3"
    assert all(torch.equal(value, weights[name]) for name, value in sam.state_dict().items())
    assert not any(value.is_meta for value in (*sam.parameters(), *sam.buffers()))
    assert fingerprint(sam.image_encoder) == fingerprint(random_sam().image_encoder)


@pytest.mark.parametrize("wanted", ["vit_b", "default"])
def test_another_type_than_the_flag_says(wanted):
    with pytest.raises(CheckpointError, match=f"holds a vit_64x3, but --model_type is {wanted}"):
        load_sam(CHECKPOINT, wanted)


def broken(weights, change):
    copy = dict(weights)
    change(copy)
    return copy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("mask_decoder.iou_token.weight"), "mask_decoder.iou_token.weight is missing"),
        (lambda w: w.pop("image_encoder.pos_embed"), "no weights of Segment Anything"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra is .*expected nothing"),
        (lambda w: w.update({"image_encoder.blocks.0.norm1.weight": torch.zeros(3)}), "norm1.weight is .*expected"),
        (lambda w: w.clear(), "no weights of Segment Anything"),
        (lambda w: w.update({"image_encoder.pos_embed": torch.zeros(3)}), "no weights of Segment Anything"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, weights, change, words):
    path = tmp_path / "model.pth"
    torch.save(broken(weights, change), path)
    with pytest.raises(CheckpointError, match=words):
        load_sam(path)


@pytest.mark.parametrize("kept", [0, 10, 5000, 200_000])
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_a_truncated_file(tmp_path, weights, kept, form):
    path = tmp_path / "model"
    if form == "pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=str(path)):
        load_sam(path)


class Evil:
    def __reduce__(self):
        return os.system, ("false",)


def test_code_in_a_file_does_not_run(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(UnsafeCheckpoint, match="--unsafe_load"):
        load_sam(path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mask_decoder.transformer.layers.99999999.x", (1,)),
        ("mask_decoder.iou_prediction_head.layers.99999999.x", (1,)),
        ("image_encoder.blocks.99999999.x", (1,)),
        ("mask_decoder.mask_tokens.weight", (99_999_999, 0)),
        ("image_encoder.pos_embed", (1, 2**40, 2, 0)),
        ("image_encoder.pos_embed", (1, 0, 2, 0)),
        ("image_encoder.patch_embed.proj.weight", (2**40, 0, 16, 16)),
    ],
)
def test_shapes_that_promise_more_than_there_is(tmp_path, weights, name, shape):
    """A model of so many layers would take hours to build, one of such sizes cannot be."""
    path = tmp_path / "model.safetensors"
    save_file({**weights, name: torch.zeros(shape)}, path)
    with pytest.raises(CheckpointError):
        load_sam(path)
