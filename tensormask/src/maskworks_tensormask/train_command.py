"""`tensormask_train`: trains a model as its config says."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks import options
from maskworks.commands.run import run_command, say
from maskworks.config import LogConfig, check, from_args
from maskworks.config.arguments import add_flags
from maskworks.config.flag import flags
from maskworks.config.usable_folder import folder_problem
from maskworks.errors import CheckpointError, ConfigError, MaskworksError
from maskworks_tensormask.train_options import DataConfig, TrainConfig

if TYPE_CHECKING:
    from maskworks_torch.training.interruption import Interruption
    from maskworks_torch.training.processes import Processes


def train() -> None:
    """`tensormask_train`."""
    sys.exit(run())


def run(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and trains. Returns the exit code."""
    return run_command(new_parser(), _train, argv, intermixed=True)


def new_parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = options.new_parser(
        "tensormask_train",
        "Trains a TensorMask model. Several GPUs: torchrun -m maskworks_tensormask.train_command ...",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML of detectron2; it has the solver, too")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY VALUE", help="values over those of the config, e.g. SOLVER.BASE_LR 0.005"
    )
    add_flags(parser, "data", DataConfig)
    add_flags(parser, "training", TrainConfig, without=flags(DataConfig))
    return parser


def _train(args: argparse.Namespace) -> int:
    settings = from_args(TrainConfig, args)
    check(settings)

    from maskworks import log
    from maskworks_torch.training.interruption import Interrupted, Interruption
    from maskworks_torch.training.processes import Processes
    from tensormask.errors import CheckpointError as TensorMaskCheckpointError
    from tensormask.errors import ConfigError as TensorMaskConfigError
    from tensormask.errors import TensorMaskError

    log.set_up(LogConfig(quiet=settings.quiet))
    # How many processes there are is up to the config. The loader would remark on it where there are fewer cores.
    warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
    try:
        with Interruption() as interruption, Processes.joined(settings.device) as processes:
            return _train_here(args.config, args.overrides, settings, processes, interruption)
    except Interrupted as stop:
        say(f"{stop}; --resume goes on from there")
        return 128 + stop.signal
    except TensorMaskConfigError as error:
        raise ConfigError([str(error)]) from None
    except TensorMaskCheckpointError as error:
        raise CheckpointError(str(error)) from None
    except (TensorMaskError, FloatingPointError) as error:
        raise MaskworksError(str(error)) from None


def _train_here(
    path: Path, overrides: Sequence[str], settings: TrainConfig, processes: Processes, interruption: Interruption
) -> int:
    from tensormask import config_file
    from tensormask.config import Config
    from tensormask.training.coco_dataset import named_files, read_records
    from tensormask.training.training_loop import FINAL, train
    from tensormask.training.weights_file import weights_file

    config = Config.from_file(path, overrides, training=True)
    if processes.count > 1 and processes.device.type == "cpu" and "SyncBN" in config.fpn_norm:
        raise ConfigError(
            [f"MODEL.FPN.NORM: {config.fpn_norm} in several processes works on GPUs only; expected GN or BN"]
        )
    if config.ims_per_batch % processes.count:
        raise ConfigError(
            [f"SOLVER.IMS_PER_BATCH is {config.ims_per_batch}; expected a multiple of {processes.count} processes"]
        )
    if settings.annotations is None or settings.images is None:
        places = [named_files(name) for name in config.datasets_train]
    else:
        places = [(settings.annotations, settings.images)]
    records = [record for annotations, images in places for record in read_records(annotations, images, config)]
    folder = settings.output_dir or Path(config.output_dir)
    if problem := folder_problem(folder):
        raise ConfigError([f"--output_dir: {problem}"])
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        config_file.write(replace(config, output_dir=str(folder)).as_nested(), folder / "config.yaml")
        weights_file(settings.weights or config.weights)
    processes.wait()  # the first one downloads
    weights = weights_file(settings.weights or config.weights)
    train(config, records, folder, processes, weights=weights, resume=settings.resume, interruption=interruption)
    if processes.is_first and not settings.quiet:
        say(f"trained: {folder / FINAL}, its config is {folder / 'config.yaml'}")
    return 0


if __name__ == "__main__":
    train()
