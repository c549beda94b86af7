"""The commands from outside: help, wrong flags, a missing installation."""

import subprocess
import sys

import pytest

from maskworks import options
from maskworks.commands.poll import predict_poll
from maskworks.commands.redis import predict_redis
from maskworks.config.flag import check, from_args
from maskworks_mmdet import installation
from maskworks_mmdet.cli import FOLDER_MODEL, MODEL
from maskworks_mmdet.options import MmdetConfig
from tests.support.mmdet_school import NEEDS_MMDET

LIGHT = """
import sys
from maskworks_mmdet import cli
sys.argv = [{name!r}, "--help"]
try:
    getattr(cli, {name!r}.removeprefix("mmdet_"))()
finally:
    print("HEAVY", sorted({{"torch", "cv2", "numpy", "mmcv", "mmdet", "mmengine", "opex"}} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "name", ["mmdet_config", "mmdet_sample_data", "mmdet_train", "mmdet_predict", "mmdet_predict_redis"]
)
def test_help_loads_nothing_heavy(name):
    result = subprocess.run([sys.executable, "-c", LIGHT.format(name=name)], capture_output=True, text=True, check=True)
    assert f"usage: {name}" in result.stdout
    assert "HEAVY []" in result.stdout


def folders(tmp_path):
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "file").write_text("")
    return ["--prediction_in", str(tmp_path / "in"), "--prediction_out", str(tmp_path / "out")]


def model(tmp_path):
    return ["--checkpoint", str(tmp_path / "file"), "--config", str(tmp_path / "file")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--score", "2"], "--score"),
        (["--score", "-0.5"], "expected a number from 0 to 1, or all"),
        (["--mask_threshold", "0"], "--mask_threshold"),
        (["--mask_nth", "0"], "--mask_nth"),
        (["--bbox_as_fallback", "0.5", "--fit_bbox_to_polygon"], "exclude each other"),
        (["--bbox_as_fallback", "nan"], "--bbox_as_fallback"),
        (["--prediction_suffix", "a/b"], "--prediction_suffix"),
        (["--output_width_height"], "--output_width_height"),
        (["--checkpoint", "nowhere.pth"], "--checkpoint: nowhere.pth is not a file"),
    ],
)
def test_wrong_flags(tmp_path, capsys, flags, said):
    assert predict_poll(FOLDER_MODEL, [*folders(tmp_path), *model(tmp_path), *flags]) == 2
    assert said in capsys.readouterr().err


def test_all_scores(tmp_path):
    parser = options.new_parser("x", "")
    options.add_model_options(parser, MmdetConfig)
    config = from_args(MmdetConfig, parser.parse_args([*model(tmp_path), "--score", "all"]))
    (tmp_path / "file").write_text("")
    check(config)
    assert config.score < -1e38


def test_flags_of_files_are_not_there_for_redis(tmp_path, capsys):
    with pytest.raises(SystemExit):
        predict_redis(MODEL, [*model(tmp_path), "--redis_in", "a", "--redis_out", "b", "--prediction_format", "csv"])
    assert "--prediction_format" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["config", "predict"])
def test_without_mmdetection_it_is_said_how_to_get_it(tmp_path, command):
    """The packages are hidden from a process of its own."""
    code = f"""
import sys
from maskworks_mmdet import cli, installation
installation.PACKAGES = ("mmdet_that_is_not_there",)
sys.argv = ["mmdet_{command}", *{["x.py"] if command == "config" else [*folders(tmp_path), *model(tmp_path)]!r}]
cli.{command}()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 5
    assert "run: make mmdetection" in result.stderr
    assert "Traceback" not in result.stderr


@NEEDS_MMDET
def test_operators_that_do_not_load(monkeypatch):
    def broken(name):
        raise ImportError(f"{name}: undefined symbol")

    monkeypatch.setattr(installation, "import_module", broken)
    with pytest.raises(installation.CheckpointError, match="undefined symbol; run: make mmdetection"):
        installation.import_mmdet()
