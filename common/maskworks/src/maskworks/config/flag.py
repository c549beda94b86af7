"""A flag is one line: the field of a config with its default, its help and its check.

`maskworks.config.arguments` makes command-line flags of the fields, `Config.problems` checks their values.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

from maskworks.errors import ConfigError

_KEY = "flag"


@dataclass(frozen=True)
class Flag:
    """What a flag is besides its name and its default, which are those of its field.

    Attributes:
        metavar: stands for the value in the help; "" for a switch.
        text: of the help.
        kind: makes a value of the flag's text.
        choices: the only values, if there are some.
        least: the smallest value of a number, None if any will do.
        several: whether it takes several values, with commas or each with the flag again; its field is a tuple.
    """

    metavar: str
    text: str
    kind: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    least: float | None = None
    several: bool = False


def flag(
    metavar: str,
    text: str,
    default: Any = MISSING,
    *,
    kind: Callable[[str], Any] = str,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    several: bool = False,
) -> Any:
    """A field that is a flag with a value; required if it has no default. The arguments are those of `Flag`."""
    return dataclasses.field(default=default, metadata={_KEY: Flag(metavar, text, kind, choices, least, several)})


def switch(text: str, default: bool = False) -> Any:
    """A field that is a flag without a value: on if it is given. One that is on by default has a `--no_` flag, too."""
    return dataclasses.field(default=default, metadata={_KEY: Flag("", text)})


def with_default(config: type[Config], name: str, default: Any) -> Any:
    """The flag of a parent class with another default."""
    return dataclasses.field(default=default, metadata={_KEY: flags(config)[name][1]})


class Config:
    """Frozen settings, built from flags or by hand. A field is named like its flag."""

    def problems(self) -> Iterator[str]:
        """Texts that each name a flag, the value that is wrong with it, and what was expected."""
        for name, (_, own) in flags(type(self)).items():
            value = getattr(self, name)
            if own.least is not None and value is not None and not (math.isfinite(value) and value >= own.least):
                yield f"--{name}: {value} is out of range; expected at least {own.least}"


AnyConfig = TypeVar("AnyConfig", bound=Config)


def flags(config: type[Config]) -> dict[str, tuple[dataclasses.Field[Any], Flag]]:
    """The fields of a config that are flags, by name."""
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(config)  # type: ignore[arg-type]
    return {field.name: (field, field.metadata[_KEY]) for field in fields if _KEY in field.metadata}


def from_args(config: type[AnyConfig], args: argparse.Namespace) -> AnyConfig:
    """A config from parsed flags: each field takes the value of the flag of its name."""
    return config(**{name: getattr(args, name) for name in flags(config)})


def check(*configs: Config) -> None:
    """Raises one ConfigError with the problems of all configs, if there are any."""
    problems = [problem for config in configs for problem in config.problems()]
    if problems:
        raise ConfigError(problems)
