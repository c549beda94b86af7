"""Arrays in files: they come back as they were, and no reader lets one be filled twice."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from maskworks.errors import CheckpointError
from maskworks_torch.checkpoints import load_content
from maskworks_torch.closed_unpickler import ClosedUnpickler, UnknownName
from maskworks_torch.numpy_stand_ins import STAND_INS, Array, ArrayType, encode

KNOWN = {**STAND_INS, "_codecs.encode": encode}
# An array of 2 numbers that gets another content, of 4, where a tensor may share its memory by then.
TYPE = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
CONTENT = b"(K\x01K%c\x85%s\x89c_codecs\nencode\n(X%s%sX\x06\x00\x00\x00latin1tRtb"
START = (
    b"\x80\x02}X\x01\x00\x00\x00acnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85X\x01\x00\x00\x00btR"
)


def filled(times: int) -> bytes:
    """A pickle of protocol 2 of `{"a": array}` whose array is filled so many times."""
    states = [(2, b"A" * 16), (4, b"B" * 32)][:times]
    return START + b"".join(CONTENT % (n, TYPE, len(d).to_bytes(4, "little"), d) for n, d in states) + b"s."


def through_the_unpickler(path, data):
    return ClosedUnpickler(io.BytesIO(data), KNOWN, (Array, ArrayType), len(data)).load()


def through_torch(path, data):
    return load_content(zipped(path, data), allowed=[(stand_in, name) for name, stand_in in STAND_INS.items()])


def through_dextr(path, data):
    from dextr.checkpoint_files import torch_file

    return torch_file.read(zipped(path, data))


def through_tensormask(path, data):
    from tensormask import checkpoints

    path.write_bytes(data)
    return checkpoints.read(path)


def through_mmdet(path, data):
    from maskworks_mmdet.checkpoints import allowed_globals

    return load_content(zipped(path, data), allowed=allowed_globals())


def through_mmengine(path, data):
    """As a training goes on from a checkpoint."""
    from maskworks_mmdet.installation import import_mmdet, missing

    if missing():
        pytest.skip("MMDetection is not installed: make mmdetection")
    import_mmdet()
    from maskworks_mmdet.training_log import known_names

    return load_content(zipped(path, data), allowed=known_names())


def zipped(path, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return path


READERS = [
    through_the_unpickler, through_torch, through_dextr, through_tensormask, through_mmdet, through_mmengine,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_an_array_is_filled_once(tmp_path, read):
    """A tensor may share its memory by then."""
    found = read(tmp_path / "a", filled(1))["a"]
    assert np.asarray(found) == pytest.approx(np.frombuffer(b"A" * 16, "<f8"), rel=1e-6)  # one reader rounds it
    with pytest.raises(Exception, match="an array that is filled twice"):
        read(tmp_path / "a", filled(2))


@pytest.mark.parametrize("read", READERS)
def test_a_type_of_other_things_than_numbers_or_text(tmp_path, read):
    with pytest.raises(Exception, match="an array of type O8; expected numbers or text"):
        read(tmp_path / "a", filled(1).replace(b"f8", b"O8"))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T, np.arange(3, dtype=">i2"), np.array([True, False]), np.array(["disc", "box"]),
        np.ones((2, 4), np.float16), np.array(1j),
    ],
)  # fmt: skip
def test_arrays_come_back(array, protocol):
    file = io.BytesIO(pickle.dumps([array, array.dtype.type(1)], protocol))
    found, scalar = ClosedUnpickler(file, KNOWN | {"builtins.bool": bool}, (Array, ArrayType), 1000).load()
    np.testing.assert_array_equal(found, array)
    assert found.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert scalar == array.dtype.type(1)
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is np.ndarray


@pytest.mark.parametrize("state", [b"}X\x01\x00\x00\x00aI1\nsb.", b"N}X\x0c\x00\x00\x00__defaults__I1\ns\x86b."])
def test_functions_of_the_table_cannot_be_changed(state):
    with pytest.raises(pickle.UnpicklingError, match="it changes a function"):
        ClosedUnpickler(io.BytesIO(b"\x80\x02c_codecs\nencode\n" + state), KNOWN, (Array, ArrayType), 100).load()
    assert encode.__defaults__ == ("latin1",)


def test_a_name_that_is_not_known():
    with pytest.raises(UnknownName, match=r"it asks for posix\.system") as caught:
        ClosedUnpickler(io.BytesIO(b"cposix\nsystem\n."), KNOWN, (), 100).load()
    assert caught.value.name == "posix.system"


def test_errors_of_all_readers_are_of_their_libraries(tmp_path):
    from dextr.errors import CheckpointError as DextrError
    from tensormask.errors import CheckpointError as TensorMaskError

    errors = {through_torch: CheckpointError, through_dextr: DextrError, through_tensormask: TensorMaskError}
    for read, error in errors.items():
        with pytest.raises(error):
            read(tmp_path / "a", filled(2))
