"""Class names from the environment variable MMDET_CLASSES."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from maskworks.errors import ConfigError

VARIABLE = "MMDET_CLASSES"


def from_environment() -> tuple[str, ...] | None:
    """The class names in MMDET_CLASSES, None if it is not set.

    Raises:
        ConfigError: it names a file that cannot be read, or names are empty or given twice.
    """
    text = os.environ.get(VARIABLE, "").strip()
    return parse(text) if text else None


def parse(text: str) -> tuple[str, ...]:
    """Class names from `'a','b'`, from `a,b`, or from a file with one of these; a file may also have a name per line.

    A text without commas and quotes is the path of a file if there is one, else a single class.

    Raises:
        ConfigError: the file cannot be read, or names are empty or given twice.
    """
    path = Path(text)
    listed = "," in text or text[0] in "'\""
    if not listed and ("/" in text or path.suffix == ".txt" or path.is_file()):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{VARIABLE}: {path}: {error}; expected a file with a,b,..."]) from None
    names = tuple(name for line in text.strip().splitlines() for name in _split(line.strip().rstrip(",")))
    if not names or "" in names:
        raise ConfigError([f"{VARIABLE}: a name is empty in {text!r}; expected for example 'cat','dog' or cat,dog"])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError([f"{VARIABLE}: {', '.join(twice)} is there more than once; name every class once"])
    return names


def _split(line: str) -> list[str]:
    """The names in a line, without the quotes around them; a quoted name may hold commas."""
    quote = "'" if line.startswith("'") else '"'
    try:
        (fields,) = csv.reader([line], quotechar=quote, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise ConfigError([f"{VARIABLE}: {line!r}: {error}; expected for example 'cat','dog' or cat,dog"]) from None
    return [name.strip() for name in fields]
