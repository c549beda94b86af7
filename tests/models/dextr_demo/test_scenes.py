"""The made-up photos that the demo model is trained on."""

import cv2
import numpy as np
import pytest
from scenes.material import Cutout, Material
from scenes.objects import SMALLEST_AREA
from scenes.scene import random_scene
from scenes.shapes import KINDS, random_shape, rasterise
from scenes.textures import KINDS as SURFACES
from scenes.textures import noise


@pytest.fixture(scope="module")
def material():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (90, 120, 3), np.uint8)
    alpha = cv2.circle(np.zeros((60, 60), np.uint8), (30, 30), 25, 255, -1)
    return Material([photo], [Cutout(photo[:60, :60], alpha)])


@pytest.mark.slow("computes with a network")
@pytest.mark.parametrize("seed", range(8))
def test_a_seed_gives_one_photo(material, seed):
    image, labels = random_scene(seed, material)
    again, labels_again = random_scene(seed, material)
    assert np.array_equal(image, again)
    assert np.array_equal(labels, labels_again)
    assert not np.array_equal(image[:200, :200], random_scene(seed + 1, material)[0][:200, :200])


@pytest.mark.slow("computes with a network")
def test_photos_have_objects_of_some_size(material):
    found = 0
    for seed in range(20):
        image, labels = random_scene(seed, material)
        assert image.dtype == labels.dtype == np.uint8
        assert image.shape == (*labels.shape, 3)
        assert image.std() > 1
        for label in range(1, int(labels.max()) + 1):
            regions, _, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=4)
            assert all(stats[1:, cv2.CC_STAT_AREA] >= SMALLEST_AREA)
            found += regions - 1
    assert found > 20


def test_works_without_photos():
    assert random_scene(0, Material())[0].std() > 1


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS], ids=lambda kind: kind.__name__)
def test_shapes_have_an_area(kind):
    for seed in range(10):
        points = np.vstack(kind(np.random.default_rng(seed)))
        assert np.isfinite(points).all()
        assert np.ptp(points, axis=0).min() > 0


def test_shapes_fill_the_frame_they_are_given():
    for seed in range(30):
        mask = rasterise(random_shape(np.random.default_rng(seed)), (60, 50), 40, (100, 120))
        ys, xs = np.nonzero(mask > 0.5)
        assert 76 <= max(np.ptp(ys), np.ptp(xs)) + 1 <= 82
        assert (ys.min() + ys.max()) / 2 == pytest.approx(49.5, abs=2)
        assert (xs.min() + xs.max()) / 2 == pytest.approx(59.5, abs=2)


@pytest.mark.parametrize("kind", [kind for kind, _ in SURFACES], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("size", [(40, 70), (3, 200)])
def test_surfaces_are_images(kind, size):
    for seed in range(10):
        image = kind(np.random.default_rng(seed), size)
        assert image.shape == (*size, 3)
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1


def test_noise_gets_finer_with_more_cells():
    coarse, fine = (noise(np.random.default_rng(0), (128, 128), cells, 1) for cells in (2, 32))
    assert np.abs(np.diff(fine)).mean() > 4 * np.abs(np.diff(coarse)).mean()
