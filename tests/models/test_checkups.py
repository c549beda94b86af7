"""What the models contribute to `maskworks doctor`: right installations pass, wrong kernels are found."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from maskworks.commands.doctor import command
from maskworks.errors import CheckpointError
from maskworks_mmdet import checkup as mmdet_checkup
from maskworks_mmdet.installation import missing
from maskworks_torch.doctor.reference_network import TOLERANCES, agreement, formula_weights, samples
from tests.support.torch_threads import torch_threads

pytestmark = pytest.mark.slow("computes with every model")

NEEDS_MMDET = pytest.mark.skipif(bool(missing()), reason="MMDetection is not installed: make mmdetection")


@pytest.fixture
def examined(capsys, monkeypatch, tmp_path):
    """Runs the command in this process, where kernels can be broken: exit code and findings by topic."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(*flags):
        code = command.main(["doctor", "--device", "cpu", "--json", *flags])
        return code, {entry["topic"]: entry for entry in json.loads(capsys.readouterr().out)}

    with torch_threads(1):
        yield run
    logging.disable(logging.NOTSET)  # the command turns logging off


def problems(found):
    return {topic for topic, entry in found.items() if entry["state"] == "problem"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_model_is_right_here(examined, precision):
    code, found = examined("--precision", precision)
    assert (code, problems(found)) == (0, set())
    for topic in ("dextr", "sam", "tensormask", "tensormask boxes"):
        assert found[topic]["state"] == "ok"
    if missing():
        assert "make mmdetection" in found["mmdet"]["text"]
    else:
        assert found["mmdet"]["state"] == "ok"
        assert "nms, roi_align" in found["mmcv operators"]["text"]


def test_a_wrong_convolution_is_found(examined, monkeypatch):
    from maskworks_torch.cpu_operators.packed_conv import PackedConv

    forward = PackedConv.forward

    def forgets_the_last_columns(self, x, residual=None):
        y = forward(self, x, residual)
        y[..., -2:] = 0
        return y

    monkeypatch.setattr(PackedConv, "forward", forgets_the_last_columns)
    code, found = examined("--precision", "fp32")
    assert (code, problems(found)) == (1, {"dextr", "tensormask"})
    assert "--device cpu" in found["tensormask"]["text"]


def test_a_wrong_product_is_found(examined, monkeypatch):
    from maskworks_torch.cpu_operators.winograd import WinogradConv

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")  # with AVX-512 nothing takes it
    forward = WinogradConv.forward
    monkeypatch.setattr(WinogradConv, "forward", lambda self, x, *rest: forward(self, x.flip(-1), *rest))
    code, found = examined("--precision", "fp32")
    assert code == 1
    assert "tensormask" in problems(found)


def test_a_wrong_attention_is_found(examined, monkeypatch):
    from maskworks_sam import encoder

    attention = encoder.blockwise_attention
    monkeypatch.setattr(encoder, "blockwise_attention", lambda q, k, v, h, w: attention(q, k, v, w, h))
    code, found = examined()
    assert (code, problems(found)) == (1, {"sam"})


def test_wrong_numbers_of_plain_code_are_found_too(examined, monkeypatch):
    """A torch that computes wrongly everywhere agrees with itself."""
    layer_norm = torch.nn.functional.layer_norm
    monkeypatch.setattr(torch.nn.functional, "layer_norm", lambda *args, **flags: layer_norm(*args, **flags) * 1.1)
    code, found = examined("--precision", "fp32")
    assert (code, problems(found)) == (1, {"sam"})


def test_wrong_suppression_is_found(examined, monkeypatch):
    """On the CPU it is compared with itself, so what is broken here is one of two calls."""
    from maskworks_tensormask import checkup

    detect, calls = checkup.detect, []

    def second_call_loses_one(*args):
        calls.append(1)
        found = detect(*args)
        return found if len(calls) == 1 else found[torch.arange(1, len(found.scores))]

    monkeypatch.setattr(checkup, "detect", second_call_loses_one)
    code, found = examined()
    assert (code, problems(found)) == (1, {"tensormask boxes"})


@NEEDS_MMDET
def test_a_wrong_operator_is_found(examined, monkeypatch):
    from maskworks_mmdet import operator_trials

    roi_align = operator_trials.ops.roi_align
    monkeypatch.setattr(operator_trials.ops, "roi_align", lambda *args: roi_align(*args).flip(-1))
    code, found = examined()
    assert (code, problems(found)) == (1, {"mmcv roi_align"})
    assert "make mmdetection" in found["mmcv roi_align"]["text"]


@NEEDS_MMDET
def test_a_wrong_precision_is_found(examined, monkeypatch):
    from maskworks_mmdet import adapter

    as_float = adapter._as_float
    monkeypatch.setattr(adapter, "_as_float", lambda features: tuple(level * 1.2 for level in as_float(features)))
    code, found = examined("--precision", "bf16")
    assert (code, problems(found)) == (1, {"mmdet"})


@NEEDS_MMDET
def test_operators_that_a_device_lacks(monkeypatch):
    from maskworks_mmdet import operator_trials

    def lacks(device):
        raise RuntimeError(f"any_impl: implementation for device {device} not found.\n")

    monkeypatch.setitem(operator_trials.TRIALS, "carafe", lacks)
    other, note = operator_trials.operator_findings("cpu")
    assert (other.state, note.state) == ("ok", "note")
    assert "carafe" in note.text
    assert "use a GPU" in note.text
    monkeypatch.setitem(operator_trials.TRIALS, "nms", lacks)
    assert next(iter(operator_trials.operator_findings("cpu"))).state == "problem"


def test_without_mmdetection(examined, monkeypatch):
    monkeypatch.setattr(mmdet_checkup, "missing", lambda: ["mmcv"])
    code, found = examined()
    assert (code, found["mmdet"]["state"]) == (0, "note")
    assert "make mmdetection" in found["mmdet"]["text"]


def test_a_broken_mmdetection(examined, monkeypatch):
    def broken():
        raise CheckpointError("MMDetection cannot be used here: libtorch.so; run: make mmdetection")

    monkeypatch.setattr(mmdet_checkup, "missing", list)
    monkeypatch.setattr(mmdet_checkup, "import_mmdet", broken)
    code, found = examined()
    assert (code, problems(found)) == (1, {"mmdet"})


def test_weights_are_the_same_everywhere():
    state = {"a.weight": torch.empty(2, 3, device="meta"), "a.bias": torch.empty(2), "n": torch.tensor(7)}
    weights = formula_weights({**state, "norm.weight": torch.empty(2, dtype=torch.float16)})
    assert weights["a.weight"].shape == (2, 3)
    assert weights["norm.weight"].dtype == torch.float32
    assert weights["n"].item() == 0
    found = [weights[name].flatten()[0].item() for name in ("a.weight", "a.bias", "norm.weight")]
    assert found == pytest.approx([-0.86238158, -0.045961928, 1.2493973], rel=1e-6)


def test_agreement():
    plain = torch.linspace(-1, 1, 100)
    known = [samples(plain)]

    def state(values, precision="fp32", numbers=known):
        return agreement("x", [values], [plain], numbers, precision, 0.1).state

    assert state(plain) == "ok"
    for precision, tolerance in TOLERANCES.items():
        assert state(plain * (1 + 0.9 * tolerance), precision) == "ok"
        assert state(plain * (1 + 1.1 * tolerance), precision) == "problem"
    assert state(plain * torch.nan) == "problem"
    assert state(plain.where(plain < 0.99, torch.inf)) == "problem"
    assert state(plain[:-1]) == "problem"
    assert state(plain, numbers=[samples(-plain)]) == "problem"
