"""Settings of the user, from the file `dextr.cfg` in the working directory.

[paths]
pascal_voc = /data/VOCdevkit/VOC2012
"""

from __future__ import annotations

import configparser
from pathlib import Path

SETTINGS_FILE = "dextr.cfg"


class SettingsError(configparser.Error):
    """The settings file is missing or lacks an entry."""


def data_directory(name: str) -> Path:
    """The directory that the key `name` of the section `paths` gives; a relative one starts at the working directory.

    Raises:
        SettingsError: there is no settings file, or it has no such key.
        configparser.Error: the file cannot be parsed.
        RuntimeError: the directory does not exist.
    """
    path = Path(SETTINGS_FILE).absolute()
    config = configparser.ConfigParser(interpolation=None)
    if not config.read(path, encoding="utf-8"):
        raise SettingsError(f"{path} does not exist; make it, with '{name} = <directory>' in a section [paths]")
    if not config.has_option("paths", name):
        raise SettingsError(f"{path} has no '{name}' in its section [paths]; add '{name} = <directory>' there")
    directory = Path(config.get("paths", name)).expanduser()
    if not directory.is_dir():
        raise RuntimeError(f"{path} says that '{name}' is {directory}, which is not a directory; correct it")
    return directory
