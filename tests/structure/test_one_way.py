"""One way through: formats read and write, wire alone knows our JSON and PNG, one place for each idea."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.distributions import ROOT
from tests.support.sources import SOURCES, imports

CORE = ROOT / "common" / "maskworks" / "src" / "maskworks"
# JSON that is none of ours: files of other tools, and notes that a program leaves for itself.
OTHER_JSON = {
    "checkpoints.py": "the header of safetensors",
    "coco_dataset.py": "annotations of COCO",
    "sample_data.py": "annotations of COCO",
    "heartbeat.py": "what a worker tells its own health check",
    "image_text.py": "rows of numbers of the first TensorMask server",
    "decoder_process.py": "what decoder processes are asked",
    "decoder_program.py": "what they answer",
    "report.py": "the doctor's report for programs",
    "training_data.py": "annotations of COCO",
    "training_loop.py": "metrics of a training, a line each",
}


def imported(path: Path) -> set[str]:
    """The whole names of what a file imports."""
    return {name for _, name in imports(ast.parse(path.read_text()))}


def within(path: Path, room: str) -> bool:
    return path.is_relative_to(CORE / room)


def called(path: Path, name: str) -> bool:
    """Whether a file calls a function of this name."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(name in (getattr(func, "id", None), getattr(func, "attr", None)) for func in calls)


def test_only_wire_knows_our_json():
    for path in SOURCES:
        if not within(path, "wire") and {name.split(".")[0] for name in imported(path)} & {"json", "orjson"}:
            assert path.name in OTHER_JSON, path


def test_only_wire_writes_errors():
    """The key stands in no dictionary elsewhere, whoever sends it."""
    for path in CORE.rglob("*.py"):
        if within(path, "wire"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict) and path.name != "openapi.py":
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                assert not {"error", "code", "message"} & keys, path


def test_the_pipeline_reads_and_writes_by_the_format_of_a_job_alone():
    names = {name.split(".")[1] for name in imported(CORE / "pipeline.py") if name.startswith("maskworks.")}
    assert names == {"config", "drawing", "errors", "images", "predictor", "types"}
    text = (CORE / "pipeline.py").read_text()
    assert text.count("job.format.") == 3
    assert {word for word in ("format.read(", "format.write(", "format.address(") if word in text} == {
        "format.read(", "format.write(", "format.address("
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted((CORE / "transports").rglob("*.py")), ids=lambda path: path.name)
def test_transports_read_no_request_themselves(path):
    """They put a format on a job. `predict.py` is the format of HTTP."""
    if path.name != "predict.py":
        assert not any(name.startswith("maskworks.wire.request") for name in imported(path))
        assert not called(path, "decode_image")


def test_every_job_gets_a_format():
    for path in SOURCES:
        names = imported(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Job" and "maskworks.types.Job" in names:
                assert "format" in {word.arg for word in node.keywords}, f"{path}:{node.lineno}"


def test_a_file_takes_the_place_of_another_in_one_place():
    """Claims of a shared folder are renames for their own sake: only one worker can succeed."""
    for path in SOURCES:
        if path.name in ("atomic_write.py", "claims.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_method and node.func.attr in ("rename", "replace", "renames"):
                assert len(node.args) != 1 or node.keywords, f"{path}:{node.lineno}"
