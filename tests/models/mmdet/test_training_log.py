"""The log of a training in the checkpoints that MMEngine loads: it comes back, and it calls nothing."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskworks.errors import CheckpointError
from maskworks_mmdet.checkpoints import guarded, read_checkpoint
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET
WEIGHTS = {"state_dict": {"a": torch.ones(2)}}


@pytest.fixture
def loaded(mmdet, tmp_path):
    """What MMEngine makes of an object that was saved, or of a file's bytes."""
    from mmengine.runner.checkpoint import CheckpointLoader

    def load(content, unsafe=False):
        path = tmp_path / "c.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save({**WEIGHTS, "log": content}, path)
        with guarded("start", unsafe=unsafe):
            return CheckpointLoader.load_checkpoint(str(path), "cpu")

    load.path = tmp_path / "c.pth"
    return load


class Call:
    """Asks the reader to call a function, and then to give the result a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def test_the_log_comes_back(loaded, tmp_path):
    from mmengine.logging import HistoryBuffer

    arrays = [np.arange(6.0).reshape(2, 3).T, np.array(["disc", "box"]), np.array([True]), np.arange(3, dtype=">i2")]
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    log = loaded({"arrays": arrays, "best": np.float32(0.25), "history": history})["log"]
    for found, expected in zip(log["arrays"], arrays, strict=True):
        assert found.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)
    assert log["best"] == np.float32(0.25)
    assert type(log["history"]) is HistoryBuffer
    log["history"].update(5.0)
    assert (log["history"].mean(), log["history"].statistics("max")) == (3.0, 5.0)
    torch.save(log, tmp_path / "next.pth")
    again = torch.load(tmp_path / "next.pth", weights_only=False)
    assert {type(array) for array in again["arrays"]} == {np.ndarray}


def test_no_function_can_be_reached_through_another(loaded, tmp_path):
    """With `getattr` a file gets from any function to its builtins; torch's own names call what it has got."""
    from mmengine.logging import HistoryBuffer

    def attribute(owner, name):
        return Call(getattr, owner, name)

    def called(function, *arguments, gives):
        return Call(torch._tensor._rebuild_from_type_v2, function, gives, arguments, {})

    builtins = attribute(attribute(HistoryBuffer, "mean"), "__builtins__")
    item = attribute(builtins, "__getitem__")
    run = called(item, "exec", gives=attribute(item, "__class__"))
    text = f"open({str(tmp_path / 'ran')!r}, 'w')"
    log = called(run, text, {}, gives=attribute(None, "__class__"))
    with pytest.raises(
        CheckpointError, match=r"^start: .*c\.pth: refused: loads torch\._tensor\._rebuild_from_type_v2"
    ):
        loaded(log)
    with pytest.raises(CheckpointError, match=r"c\.pth: refused: loads torch\._tensor\._rebuild_from_type_v2"):
        read_checkpoint(loaded.path)
    assert not (tmp_path / "ran").exists()


def address():
    """A mapping that says that its numbers are at an address."""
    mapping = OrderedDict()
    mapping.__array_interface__ = {"data": (4096, False), "shape": (4,), "typestr": "<f8", "version": 3}
    return mapping


EMPTY = (np.ndarray, (0,), b"b")


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: np.array([None]),
        lambda _: np.zeros(1, [("a", "O")]),
        lambda _: Call(np._core.multiarray._reconstruct, *EMPTY, state=(1, (1,), "O", False, b"A" * 8)),
        lambda history: Call(history, state={"_log_history": address(), "_count_history": [], "max_length": 4}),
        lambda history: Call(history, state={}),
    ],
)
def test_numbers_cannot_pass_for_addresses(loaded, forge):
    from mmengine.logging import HistoryBuffer

    with pytest.raises(CheckpointError, match="not weights or broken"):
        loaded(forge(HistoryBuffer))


def test_what_is_called_like_a_class_takes_nothing(loaded):
    from mmengine.logging import HistoryBuffer

    found = loaded([Call(HistoryBuffer, [address()], [1]), Call(np.ndarray, (1 << 40,))])["log"]
    assert not hasattr(found[0], "_log_history")
    assert found[1].size == 0


@pytest.mark.parametrize("unsafe", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 200])
def test_broken_files_are_not_called_dangerous(loaded, unsafe, cut):
    torch.save(WEIGHTS, loaded.path)
    content = loaded.path.read_bytes()[:-cut] if cut else b"<html>Not found</html>"
    with pytest.raises(CheckpointError, match=r"^start: .*c\.pth: not weights or broken .*download it again$"):
        loaded(content, unsafe)


def test_what_is_set_outside_allows_nothing(loaded, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert loaded(5)["log"] == 5
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"


def test_a_checkpoint_that_is_downloaded_is_read_like_a_file(loaded, tmp_path, monkeypatch):
    from mmengine.logging import HistoryBuffer
    from mmengine.runner.checkpoint import CheckpointLoader

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    loaded({"history": HistoryBuffer([1.0], [1])})
    with ThreadingHTTPServer(("localhost", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever).start()
        with guarded("start", unsafe=False):
            found = CheckpointLoader.load_checkpoint(f"http://localhost:{server.server_port}/c.pth", "cpu")
        server.shutdown()
    assert found["log"]["history"].mean() == 1.0


@pytest.mark.parametrize("nothing", [None, []])
def test_a_checkpoint_without_a_log(mmdet, tmp_path, nothing):
    from maskworks_mmdet.training_log import Harmless

    for checkpoint in ({"meta": nothing, "message_hub": nothing}, {"message_hub": {"runtime_info": nothing}}):
        before = dict(checkpoint)
        Harmless().after_load_checkpoint(SimpleNamespace(work_dir=tmp_path), checkpoint)
        assert checkpoint == before


def test_a_training_deletes_nothing_but_its_own(mmdet, tmp_path, monkeypatch):
    """It deletes what was best, a file or a folder with all that is in it, as soon as something is better."""
    from maskworks_mmdet.training_log import Harmless

    monkeypatch.chdir(tmp_path)
    info = {"iter": 3, "best_ckpt": "work/best.pth", "best_ckpt_bbox_mAP": str(tmp_path), "best_ckpt_a": "work/.."}
    info = OrderedDict({**info, "best_ckpt_b": "work", "best_ckpt_c": str(tmp_path / "work" / "best_c.pth")})
    info.items = set
    checkpoint = {"message_hub": {"log_scalars": {}, "runtime_info": info}}
    Harmless().after_load_checkpoint(SimpleNamespace(work_dir="work"), checkpoint)
    kept = checkpoint["message_hub"]["runtime_info"]
    assert dict(kept) == {key: info[key] for key in ("iter", "best_ckpt", "best_ckpt_c")}
