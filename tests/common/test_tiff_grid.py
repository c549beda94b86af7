"""TIFF files in every arrangement of samples, bytes and pieces, all of one picture of known values."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
import tifffile

from maskworks.config import InputConfig
from maskworks.images.reader import decode_image

HEIGHT, WIDTH = 40, 60
VALUES = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 5))
DEEP = 256 * VALUES + VALUES[:, ::-1]  # of which VALUES are the highest 8 bits
COMPRESSIONS = (None, "lzw", "zlib")
PIECES = ({}, {"tile": (16, 32)})
# dtype, byte order, planar, samples, compression, strips or tiles, predictor
GRID = [
    combination
    for combination in product(
        ("uint8", "uint16"), "<>", (False, True), (1, 3, 4, 5), COMPRESSIONS, PIECES, (False, True)
    )
    if not (combination[-1] and combination[4] is None)  # a predictor needs a compression
    and not (combination[3] == 1 and combination[2])  # one band has no planes
]


def written(dtype, order, planar, samples, compression, pieces, predictor, **options):
    """A TIFF file of the first bands of the picture: grey, RGB, or RGB with something more."""
    values = (VALUES if dtype == "uint8" else DEEP)[:, :, :samples].astype(dtype)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        values[:, :, 0] if samples == 1 else np.moveaxis(values, 2, 0) if planar else values,
        byteorder=order,
        photometric="rgb" if samples > 1 else "minisblack",
        planarconfig=None if samples == 1 else "separate" if planar else "contig",
        compression=compression,
        predictor=predictor,
        rowsperstrip=None if pieces else 7,
        **pieces,
        **options,
    )
    return file.getvalue()


def expected(samples):
    return np.repeat(VALUES[:, :, :1], 3, axis=2) if samples == 1 else VALUES[:, :, :3]


def named(combination):
    return "-".join(map(str, combination)).replace(" ", "")


def test_the_grid_is_large():
    assert len(GRID) == 280


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("samples", [1, 3, 4, 5])
def test_every_arrangement_gives_the_same_pixels(dtype, samples):
    for combination in GRID:
        if (combination[0], combination[3]) == (dtype, samples):
            pixels, meta = decode_image(written(*combination), InputConfig(range="full"))
            np.testing.assert_array_equal(pixels, expected(samples), err_msg=named(combination))
            assert "range" not in meta


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planar", [False, True])
def test_big_tiff_in_both_byte_orders(order, planar, big):
    data = written("uint16", order, planar, 3, "zlib", {}, True, bigtiff=big)
    np.testing.assert_array_equal(decode_image(data, InputConfig(range="full"))[0], VALUES[:, :, :3])


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_bands_are_chosen_by_their_numbers(dtype, planar):
    data = written(dtype, "<", planar, 5, None, {}, False)
    for bands, used in (("5,2,3", [5, 2, 3]), ("4", [4])):
        pixels, meta = decode_image(data, InputConfig(range="full", bands=bands))
        np.testing.assert_array_equal(pixels, np.broadcast_to(VALUES[:, :, [b - 1 for b in used]], pixels.shape))
        assert meta["bands"] == {"used": used, "of": 5}
