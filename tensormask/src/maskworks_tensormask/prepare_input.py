"""`tensormask_prepare_input IMAGE OUT.json`: writes an image as a request for the server's /model/."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks import options
from maskworks.commands.run import run_command, say
from maskworks.errors import ConfigError, MaskworksError, reason_of


def prepare_input(argv: Sequence[str] | None = None) -> int:
    """Writes the request. Returns the exit code: 1 if the image cannot be read, 2 if a file cannot be opened."""
    parser = options.new_parser("tensormask_prepare_input", "Writes an image as a request for tensormask-server.")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="image file to send")
    parser.add_argument("output", type=Path, metavar="OUT.json", help="file to write, for curl --data @OUT.json")
    return run_command(parser, _write, argv)


def _write(args: argparse.Namespace) -> int:
    from maskworks.config import InputConfig
    from maskworks.images.reader import decode_image
    from maskworks_tensormask.image_text import write_image

    path = args.image
    try:
        image, _ = decode_image(path.read_bytes(), InputConfig(exif="apply"))  # like OpenCV
        path = args.output
        path.write_bytes(write_image(image))
    except OSError as error:
        raise ConfigError([f"{path}: {reason_of(error)}"]) from None
    except MaskworksError as error:
        say(f"{args.image}: {error.message}")
        return 1
    return 0


def main() -> None:
    """`tensormask_prepare_input`."""
    sys.exit(prepare_input())


if __name__ == "__main__":
    main()
