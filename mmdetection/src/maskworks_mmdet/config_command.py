"""The body of `mmdet_config`: a config with everything that it inherits, as one file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from maskworks import options
from maskworks.commands.run import run_command, say
from maskworks.errors import ConfigError

_SUFFIXES = (".py", ".json", ".yml")


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and does it. Returns the exit code."""
    parser = options.new_parser("mmdet_config", "Writes a config of MMDetection with everything that it inherits.")
    parser.add_argument(
        "config", metavar="IN.py", type=Path, nargs="?", help="a file, or the name of a config that comes with "
        "MMDetection, for example mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
    )  # fmt: skip
    parser.add_argument(
        "--save-path", "--save_path", metavar="OUT.py", type=Path, help="file to write (default: print it)"
    )
    parser.add_argument(
        "--cfg-options", "--cfg_options", metavar="KEY=VALUE", nargs="+", action="extend", default=[],
        help="settings to change, for example model.roi_head.bbox_head.num_classes=2",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the names of the configs that come with MMDetection")
    return run_command(parser, _write, argv)


def _write(args: argparse.Namespace) -> int:
    if args.config is None and not args.list:
        raise ConfigError(["IN.py is missing; expected a config, or --list"])
    if args.save_path is not None and args.save_path.suffix not in _SUFFIXES:
        raise ConfigError([f"--save-path: {args.save_path}: expected a name that ends in {', '.join(_SUFFIXES)}"])

    from maskworks_mmdet.installation import import_mmdet

    import_mmdet()
    from maskworks_mmdet.configs import find_config, merge_options, read_config, stock_configs

    if args.list:
        sys.stdout.write("\n".join(stock_configs()) + "\n")
        return 0
    config = read_config(find_config(args.config), imports=False)
    merge_options(config, args.cfg_options)
    if args.save_path is None:
        sys.stdout.write(config.pretty_text)
        return 0
    try:
        args.save_path.parent.mkdir(parents=True, exist_ok=True)
        config.dump(args.save_path)
    except OSError as error:
        raise ConfigError([f"--save-path: {args.save_path}: {error.strerror}"]) from None
    say(f"{args.save_path} written")
    return 0
