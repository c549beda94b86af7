"""From the fields of a config to the flags of a command line."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any

from maskworks.config.flag import Config, Flag, flags

Names = Mapping[str, Sequence[str]]


def add_flags(
    parser: argparse.ArgumentParser,
    title: str,
    config: type[Config],
    *,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    others: Names | None = None,
) -> None:
    """The flags of a config as a group of the help, in the order of its fields.

    Args:
        parser: gets the group.
        title: shown above the flags in the help; "" puts them among those of argparse.
        config: the class whose fields become flags.
        only: the names of some of them, if not all are wanted.
        without: the names of those that are not wanted.
        others: further names of flags, by the field.
    """
    names = [name for name in flags(config) if name not in without and (only is None or name in only)]
    add_group(parser, title, config, names, others or {})


def add_group(
    parser: argparse.ArgumentParser, title: str, config: type[Config], names: Sequence[str], others: Names
) -> None:
    """The flags of these names, in this order, as a group of the help; `others` as in `add_flags`."""
    group, known = parser.add_argument_group(title) if title else parser, flags(config)
    for name in names:
        field, flag = known[name]
        _add(group, name, field, flag, others.get(name, ()))


def _add(group: Any, name: str, field: Field[Any], flag: Flag, others: Sequence[str]) -> None:
    if not flag.metavar:
        group.add_argument(f"--{name}", action="store_true", default=field.default, help=flag.text)
        if field.default:
            group.add_argument(f"--no_{name}", action="store_false", dest=name, help="do not")
        return
    required = field.default is MISSING
    default, text = None if required else field.default, flag.text
    if required:
        text += " (required)"
    elif default not in (None, "", ()):
        text += f" (default: {str(default).replace('%', '%%')})"
    action = {"action": _Several} if flag.several else {}
    group.add_argument(
        *others,
        f"--{name}",
        dest=name,
        type=flag.kind,
        metavar=flag.metavar,
        help=text,
        choices=flag.choices or None,
        default=default,
        required=required,
        **action,
    )


class _Several(argparse.Action):
    """Adds the values of one flag, which are parted by commas, to those of the same flag before it."""

    def __call__(self, parser: argparse.ArgumentParser, args: argparse.Namespace, text: Any, *_: object) -> None:
        values = (value.strip() for value in text.split(","))
        setattr(args, self.dest, (*getattr(args, self.dest), *filter(None, values)))
