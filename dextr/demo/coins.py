"""Writes a small data set to fine-tune on: twelve of scikit-image's 24 coins.

    python dextr/demo/coins.py coins

makes `coins/images/coin01.png`, ... and their masks `coins/masks/coin01_mask.png`, ... of the picture's upper half.
The lower half, `dextr/demo/photos/coins.jpg`, is for testing; nothing of it is in the data set.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image
from real_objects import filled
from sources import COINS_ROWS, FOLDER, bundled

MARGIN = 30  # of the picture around a coin, in pixels


def write(folder: Path) -> int:
    """Write the data set; the number of coins."""
    picture = bundled("coins")[:COINS_ROWS]
    polygons = json.loads((FOLDER / "coins.json").read_text())
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, polygon in enumerate(polygons, 1):
        mask = filled(polygon, picture.shape)
        rows, columns = np.nonzero(mask)
        y, x = (max(int(values.min()) - MARGIN, 0) for values in (rows, columns))
        window = slice(y, int(rows.max()) + MARGIN), slice(x, int(columns.max()) + MARGIN)
        Image.fromarray(picture[window]).save(folder / "images" / f"coin{number:02}.png")
        Image.fromarray(mask[window].astype(np.uint8) * np.uint8(255)).save(
            folder / "masks" / f"coin{number:02}_mask.png"
        )
    return len(polygons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
