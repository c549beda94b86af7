"""What a model package hands over to have commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskworks import config

if TYPE_CHECKING:
    from maskworks.formats import FileFormat, ImageMessages, MaskFiles, MessageFormat, PromptMessages
    from maskworks.predictor import Predictor


def mask_files(settings: Any, overlay: bool) -> MaskFiles:
    """Image and prompt to mask and OPEX, and with `overlay` a picture for people."""
    from maskworks.formats import MaskFiles

    return MaskFiles(overlay=overlay)


def prompt_messages(settings: Any) -> PromptMessages:
    """JSON with image and prompt to JSON with mask, contours and meta."""
    from maskworks.formats import PromptMessages

    return PromptMessages()


def image_messages(settings: Any) -> ImageMessages:
    """The same for models without prompts, which also take image files as they are."""
    from maskworks.formats import ImageMessages

    return ImageMessages()


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a model package hands over to have commands.

    Attributes:
        name: how commands begin, e.g. `dextr`.
        title: how people call it.
        prompt_suffix: the extension of prompt files; None if it needs no prompt.
        config: its settings and flags, a subclass of `ModelConfig`.
        load: loads the model; only here the heavy imports happen.
        folder_command: what the folder command is called, by default `<name>_predict_poll`.
        file_format: from its settings and --overlay to the format of its files in folders.
        message_format: from its settings to the format of its messages on Redis and HTTP.
        prompts: the prompts to offer on the page of the HTTP server: `points` (extreme points), `box`, `clicks`.
    """

    name: str
    title: str
    prompt_suffix: str | None
    config: type[config.ModelConfig]
    load: Callable[[Any], Predictor]
    folder_command: str = ""
    file_format: Callable[[Any, bool], FileFormat] = mask_files
    message_format: Callable[[Any], MessageFormat] = prompt_messages
    prompts: tuple[str, ...] = ("points", "box")
