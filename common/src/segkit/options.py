"""Every shared command-line flag, defined once, in groups. Their defaults are those of the configs."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segkit import __version__
from segkit.config import FolderConfig, InputConfig, LogConfig, LoopConfig, ModelConfig, ShapeConfig


class Options:
    """A titled group of flags that fill one config class.

    Args:
        parser: gets the group.
        title: shown above the flags in the help.
        config: the dataclass whose fields the flags are named after, and that has their defaults.
    """

    def __init__(self, parser: argparse.ArgumentParser, title: str, config: type[Any]) -> None:
        self._group = parser.add_argument_group(title)
        self._fields = {field.name: field for field in dataclasses.fields(config)}

    def value(
        self, name: str, kind: Callable[[str], Any], metavar: str, text: str, choices: tuple[str, ...] | None = None
    ) -> None:
        """A flag with a value."""
        field = self._fields[name]
        required = field.default is dataclasses.MISSING
        default = None if required else field.default
        if not required and default is not None:
            text += f" (default: {default})"
        elif required:
            text += " (required)"
        self._group.add_argument(
            f"--{name}", type=kind, metavar=metavar, help=text, choices=choices, default=default, required=required
        )

    def switch(self, name: str, text: str) -> None:
        """A flag that is on or off; off is the default."""
        self._group.add_argument(f"--{name}", action="store_true", help=text)


def new_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser without flags of its own but --help and --version; abbreviated flags are refused."""
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_model_options(
    parser: argparse.ArgumentParser, config: type[ModelConfig], add_own: Callable[[Options], None]
) -> None:
    """The model's own flags, which `add_own` adds, then --device, --precision and --compile."""
    options = Options(parser, "model", config)
    add_own(options)
    options.value("device", str, "DEVICE", "auto (the first GPU, else the CPU), cpu, cuda:0, ...")
    precisions = ("auto", "fp32", "bf16", "fp16")
    options.value(
        "precision", str, "|".join(precisions), "auto is bf16 where the hardware has it, else fp32", precisions
    )
    options.switch("compile", "compile the network first: slow start, then faster")


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """The folders to watch and to write."""
    options = Options(parser, "folders", FolderConfig)
    options.value("prediction_in", Path, "DIR", "folder with the images to process")
    options.value("prediction_out", Path, "DIR", "folder for the results; inputs move here when done")
    options.value("prediction_tmp", Path, "DIR", "folder in which results are made first (default: beside the results)")
    options.value("prediction_failed", Path, "DIR", "folder for inputs that failed (default: OUT/failed)")
    options.value("poll_wait", float, "S", "seconds between two looks at the input folder")
    options.switch("continuous", "keep watching the folder; without it, work until the folder is empty and exit")
    options.switch("use_watchdog", "wake up as soon as a file arrives")
    options.value("watchdog_check_interval", float, "S", "seconds between two looks when --use_watchdog is on")
    options.value("incomplete_wait", float, "S", "seconds without change after which a half-written file is given up")
    options.switch("delete_input", "delete inputs when done instead of moving them to --prediction_out")
    options.switch("overlay", "also write NAME-overlay.png: image, mask, outline and prompt")


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Limits on images, how masks become polygons, and batches."""
    limits = Options(parser, "images", InputConfig)
    limits.value("max_bytes", int, "N", "largest image file in bytes")
    limits.value("max_pixels", int, "N", "largest image in pixels, read from its header")
    limits.value("exif", str, "ignore|apply", "what to do about an EXIF orientation", ("ignore", "apply"))
    shape = Options(parser, "polygons", ShapeConfig)
    shape.value("simplify", float, "PX", "how far a polygon may leave the exact outline")
    shape.value("min_area", float, "PX", "drop parts of a mask with fewer pixels")
    loop = Options(parser, "batches", LoopConfig)
    loop.value("batch_size", int, "N", "most images in one run of the model")
    loop.value("batch_wait_ms", float, "MS", "longest wait for more images to fill a batch")


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """How much is said."""
    options = Options(parser, "messages", LogConfig)
    options.switch("verbose", "say more")
    options.switch("quiet", "say nothing but warnings and errors")
