"""The way from COCO data to polygons, by the commands that the README prints."""

import csv
import json
import shutil
import subprocess
from functools import partial

import cv2
import numpy as np
import pytest
from opex import ObjectPredictions

from maskworks.commands.poll import predict_poll
from maskworks_mmdet import config_command
from maskworks_mmdet.cli import FOLDER_MODEL
from maskworks_mmdet.sample_data import NAMES, SIZE, picture
from tests.support.commands import run_here as run_command
from tests.support.iou import iou
from tests.support.mmdet_school import BIN, HELD_OUT, NEEDS_MMDET, README, printed
from tests.support.redis_process import RedisProcess
from tests.support.workplace import wait_until

pytestmark = [NEEDS_MMDET, pytest.mark.slow("trains a detector and starts the commands with it")]


def found_masks(text):
    """Label and mask of each object in an OPEX text, drawn from the text alone."""
    masks = {}
    for found in ObjectPredictions.from_json_string(text).objects:
        key = (found.meta["object"], found.label)
        cv2.fillPoly(masks.setdefault(key, np.zeros(SIZE, np.uint8)), [np.array(found.polygon.points)], 1)
    return [(label, mask) for (_, label), mask in masks.items()]


def assert_objects_are_found(text, seed):
    _, objects = picture(seed)
    masks = found_masks(text)
    assert len(masks) == len(objects)
    for kind, mask in objects:
        assert max(iou(mask, other) for label, other in masks if label == NAMES[kind]) > 0.7


def fill_inputs(trained):
    (trained.folder / "in").mkdir(exist_ok=True)
    for seed in HELD_OUT:
        name = f"picture{seed}.png"
        shutil.copy(trained.folder / "data" / "images" / name, trained.folder / "in" / name)
    return {f"picture{seed}" for seed in HELD_OUT}


def test_the_classes_of_the_readme_are_those_of_the_data(school):
    assert f'export MMDET_CLASSES="{school.environment["MMDET_CLASSES"]}"' in README.read_text()


def test_the_training_of_the_readme(trained):
    log = (trained.folder / "my_model").glob("*/*.log")
    assert trained.checkpoint.is_file()
    assert "segm_mAP" in next(log).read_text()


def test_a_folder_to_opex(trained):
    stems = fill_inputs(trained)
    result = trained.run(*printed("mmdet_predict")[0])
    assert result.returncode == 0, result.stderr
    assert "onedl" not in (result.stdout + result.stderr).lower()
    out = trained.folder / "out"
    for stem in stems:
        text = (out / f"{stem}.json").read_text()
        assert json.loads(text)["id"] == f"{stem}.png"
        assert_objects_are_found(text, int(stem[-2:]))
    assert {p.name for p in out.glob("*.png")} == {f"{s}{x}.png" for s in stems for x in ("", "-overlay")}


def test_a_folder_to_csv(trained, mmdet, monkeypatch):
    stems = fill_inputs(trained)
    monkeypatch.chdir(trained.folder)
    monkeypatch.setenv("MMDET_CLASSES", trained.environment["MMDET_CLASSES"])
    code, said = run_command(partial(predict_poll, FOLDER_MODEL), *printed("mmdet_predict")[1][1:])
    assert code == 0, said
    for stem in stems:
        with (trained.folder / "out" / f"{stem}-rois.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["file"] for row in rows} == {f"{stem}.png"}
        assert {row["label_str"] for row in rows} >= {NAMES[kind] for kind, _ in picture(int(stem[-2:]))[1]}
        assert all(len(row["poly_x"].split(",")) == len(row["poly_yn"].split(",")) >= 3 for row in rows)


@pytest.fixture
def worker(trained, tmp_path):
    """A worker as in the README, on a server of its own; its port."""
    server = RedisProcess(tmp_path)
    process = subprocess.Popen(
        [*printed("mmdet_predict_redis")[0], "--redis_port", str(server.port)], cwd=trained.folder,
        env=trained.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with server.client() as client:
        wait_until(lambda: client.pubsub_numpat() or process.poll() is not None, 90)
    assert process.poll() is None, process.stderr.read()
    yield server.port
    process.terminate()
    process.communicate(timeout=20)
    server.stop()


def listening(port, patterns):
    """Waits until so many listeners are there, the worker being one of them."""
    import redis

    with redis.Redis(port=port) as client:
        wait_until(lambda: client.pubsub_numpat() >= patterns, 30)


def run_here(command, port, folder, environment):
    """Runs one of the clients to its end; what it printed."""
    command = [*command, "-p", str(port)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60)


def start(command, port, folder, environment):
    return subprocess.Popen([*command, "-p", str(port)], cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def files_in(folder, suffix):
    wait_until(lambda: any(path.stat().st_size for path in folder.glob(f"*{suffix}")), 60)
    return sorted(folder.glob(f"*{suffix}"))


def test_the_clients_of_the_readme_over_redis(worker, trained, tmp_path):
    """The published client sends a picture and receives the OPEX; so do the test clients."""
    (tmp_path / "results").mkdir()
    shutil.copy(trained.folder / "data" / "images" / "picture24.png", tmp_path / "cup.png")
    listen, broadcast = printed("srh-listen")[0], printed("srh-broadcast")[0]
    listener = start(listen, worker, tmp_path, trained.environment)
    listening(worker, 2)
    run_here(broadcast, worker, tmp_path, trained.environment)
    (file,) = files_in(tmp_path / "results", ".json")
    listener.kill()
    listener.wait()
    assert_objects_are_found(file.read_text(), 24)
    answer = json.loads(file.read_text())
    assert answer["id"] == answer["timestamp"]
    file.unlink()

    receiver = start(printed("mmdet_test_redis_recv")[0], worker, tmp_path, trained.environment)
    listening(worker, 3)
    run_here(printed("mmdet_test_redis_send")[0], worker, tmp_path, trained.environment)
    assert receiver.wait(60) == 0
    (file,) = files_in(tmp_path / "results", ".json")
    assert json.loads(file.read_text())["id"] == "cup-17"


def test_the_stock_config_with_own_classes(school, mmdet, monkeypatch):
    monkeypatch.chdir(school.folder)
    assert config_command.main(printed("mmdet_config")[1][1:]) == 0
    written = (school.folder / "my_r50.py").read_text()
    assert "_base_" not in written
    assert written.count("num_classes=2,") == 2
    assert "max_epochs=12" in written


def test_all_commands_are_there():
    for line in README.read_text().splitlines():
        if line.startswith("    mmdet_"):
            assert (BIN / line.split()[0]).is_file()
