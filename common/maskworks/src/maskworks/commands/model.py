"""What a model package hands over to have commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskworks import config, options
from maskworks import format as formats

if TYPE_CHECKING:
    from maskworks.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a model package hands over to have commands.

    Attributes:
        name: how commands begin, e.g. `dextr`.
        title: how people call it.
        prompt_suffix: the extension of prompt files; None if it needs no prompt.
        config: its settings, a subclass of `ModelConfig`.
        add_options: adds its own flags to the group of the model.
        load: loads the model; only here the heavy imports happen.
        folder_command: what the folder command is called, by default `<name>_predict_poll`.
        folder_format: from its settings and --overlay to what is read from folders and written there.
        message_format: from its settings to what is read from Redis and answered.
        prompts: the prompts to offer on the page of the HTTP server: `points` (extreme points), `box`, `clicks`.
    """

    name: str
    title: str
    prompt_suffix: str | None
    config: type[config.ModelConfig]
    add_options: Callable[[options.Options], None]
    load: Callable[[Any], Predictor]
    folder_command: str = ""
    folder_format: Callable[[Any, bool], formats.FolderFormat] = formats.files
    message_format: Callable[[Any], formats.MessageFormat] = formats.messages
    prompts: tuple[str, ...] = ("points", "box")
