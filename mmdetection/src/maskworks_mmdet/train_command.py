"""The flags of `mmdet_train`, those of MMDetection's own tool."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from maskworks import options
from maskworks.commands.run import run_command
from maskworks_mmdet.train_config import TrainConfig

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and trains. Returns the exit code."""
    parser = options.new_parser("mmdet_train", "Trains a model of MMDetection.")
    parser.add_argument("config", metavar="CONFIG", type=Path, help="config of the model, its data and its schedule")
    parser.add_argument(
        "--work-dir", "--work_dir", metavar="DIR", type=Path,
        help="for logs and checkpoints (default: work_dir of the config, else work_dirs/CONFIG)",
    )  # fmt: skip
    parser.add_argument(
        "--cfg-options", "--cfg_options", metavar="KEY=VALUE", nargs="+", action="extend", default=[],
        help="settings of the config to change, for example train_dataloader.batch_size=1; lists as [1,2]",
    )  # fmt: skip
    parser.add_argument(
        "--resume", metavar="FILE", nargs="?", const="auto", help="go on from a checkpoint, or without FILE from the "
        "latest in the work dir",
    )  # fmt: skip
    parser.add_argument("--amp", action="store_true", help="compute in mixed precision; needs a GPU")
    parser.add_argument(
        "--auto-scale-lr", "--auto_scale_lr", action="store_true", help="fit the learning rate to the batch size"
    )
    parser.add_argument(
        "--launcher", metavar="|".join(LAUNCHERS), choices=LAUNCHERS, default="none",
        help="who started the processes, if there are several",
    )  # fmt: skip
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(
        "--unsafe_load", action="store_true", help="load checkpoints even if that runs code from them; only for files "
        "that you trust",
    )  # fmt: skip
    return run_command(parser, _train, argv)


def _train(args: argparse.Namespace) -> int:
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    config = TrainConfig(
        config=args.config,
        work_dir=args.work_dir,
        cfg_options=tuple(args.cfg_options),
        resume=args.resume,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
        unsafe_load=args.unsafe_load,
    )
    from maskworks_mmdet.installation import import_mmdet

    import_mmdet()
    from maskworks_mmdet.training import train

    train(config)
    return 0
