"""What users of the originals type and write works as printed in their manuals, from the root of a checkout."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dextr import model
from dextr.architectures import resunet
from dextr.data_pipeline import dextr_dataset
from tests.support.dextr_training_command import draw_ellipses

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = "dextr_pascalvoc_resunet101-a2d81727.pth"
TRAININGS = {
    "my_model_from_labels": f"""python train_dextr.py my_model_from_labels --dataset=custom_label
        --train_image_pat=mydataset/images/*.png --train_target_pat=mydataset/labels/*.png
        --arch=resunet101 --load_model={PUBLISHED}""",
    "my_model_from_masks": f"""python train_dextr.py my_model_from_masks --dataset=custom_mask
        --train_image_pat=mydataset/images/*.png --train_target_pat=mydataset/masks/*.png
        --arch=resunet101 --load_model={PUBLISHED}""",
}
SHORT = "--device=cpu --num_workers=0 --num_epochs=1 --iters_per_epoch=1 --batch_size=2"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder where the programs are as in the root of a checkout, a data set, and a model file of the original."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("train_dextr.py", "prepare_input.py"):
        (folder / name).symlink_to(ROOT / name)
    draw_ellipses(folder / "mydataset", 3)
    packed = ROOT / "tests" / "golden" / "dextr" / "model_a_legacy.pth.gz"
    (folder / PUBLISHED).write_bytes(gzip.decompress(packed.read_bytes()))
    Image.fromarray(np.full((4, 5, 3), (1, 2, 3), np.uint8)).save(folder / "image.png")
    return folder


def typed(line, folder):
    """What a line does in a shell of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    line = " ".join(line.split())
    return subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow("trains a network")
@pytest.mark.parametrize("job", TRAININGS)
def test_trainings_of_the_originals_manual(checkout, job):
    done = typed(f"{TRAININGS[job]} {SHORT}", checkout)
    assert done.returncode == 0, done.stderr
    trained = model.DextrModel.from_file(checkout / "checkpoints" / f"{job}.pth")
    assert trained.net.blocks == (1, 1, 1, 1)
    assert "Training..." in (checkout / "logs" / f"log_{job}.txt").read_text()


def test_requests_are_prepared(checkout):
    done = typed("python prepare_input.py image.png input_json_file.json", checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / "input_json_file.json").read_text().startswith('{"img_data"')


@pytest.fixture(scope="module")
def pickled(checkout):
    """The whole model, as the original's own training program saves it after each epoch."""
    torch.manual_seed(5)
    photos, labels = (sorted(map(str, (checkout / "mydataset" / name).iterdir())) for name in ("images", "labels"))
    path = checkout / "checkpoint.pth"
    model.training_loop(
        model.DextrModel(resunet.resunet((1, 1, 1, 1)), (64, 64), 10, 10.0),
        lambda transform=None: dextr_dataset.LabelImageTargetDextrDataset(photos, labels, transform=transform),
        None, None, 5, 1.0, 0.1, 0.1, 1.0, "poly", 0.9, "sgd", 1e-4, False, 20.0, 2, 1, 1, 25, torch.device("cpu"), 0,
        True, lambda epoch, trained: torch.save(trained, path),
    )  # fmt: skip
    return path


@pytest.mark.slow("trains a network")
def test_our_commands_take_a_model_that_was_pickled_beside_our_library(checkout, pickled):
    (checkout / "in").mkdir()
    Image.open(checkout / "mydataset" / "images" / "photo0.png").save(checkout / "in" / "a.png")
    (checkout / "in" / "a.points").write_text('{"points": [[10, 30], [40, 10], [40, 50], [60, 30]]}')
    done = typed(f"dextr_predict_poll --model {pickled} --device cpu --prediction_in in --prediction_out out", checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / "out" / "a.json").exists()
    line = f"python train_dextr.py more --dataset=custom_label --train_image_pat=mydataset/images/*.png {SHORT} "
    done = typed(f"{line} --train_target_pat=mydataset/labels/*.png --load_model={pickled}", checkout)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow("trains a network")
def test_the_model_of_the_manual_is_loaded_as_it_says(checkout, pickled):
    """`torch.load` and `predict`, which runs code from the file, for those that ask torch for it."""
    image, points = np.zeros((60, 80, 3), np.uint8), np.array([[30, 10], [10, 40], [50, 40], [30, 60]])
    loaded = torch.load(pickled, map_location="cpu", weights_only=False)
    (mask,) = loaded.predict([image], [points])
    np.testing.assert_array_equal(mask, model.DextrModel.from_file(pickled).predict([image], [points])[0])
