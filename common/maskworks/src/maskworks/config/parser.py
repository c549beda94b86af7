"""A parser of arguments that says what is wrong in a line each, all of it at once, and which flag was meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

_OF_AN_ARGUMENT = re.compile(r"^argument (\S+): (.*)", re.DOTALL)
_MISSING = re.compile(r"^the following arguments are required: (.*)")
_ONE_OF = re.compile(r"^one of the arguments (.*) is required")
_TOO_MANY = re.compile(r"^unrecognized arguments: (.*)")
_NO_VALUE = re.compile(r"^invalid (int|float) value: (.*)")
_NUMBERS = {"int": "a whole number", "float": "a number"}
_SHOWN = 3  # of arguments that are too many


class _Wrong(Exception):
    """What argparse says of the first wrong argument."""


class Parser(argparse.ArgumentParser):
    """As argparse's own, without abbreviations of flags. Its errors end the process with exit code 2."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **settings})
        self._verbs = self._collecting = self._intermixed = False
        self._given: list[str] = []

    def add_subparsers(self, **settings: Any) -> Any:
        """As argparse's own; the flags behind a verb are those of its parser."""
        self._verbs = True
        return super().add_subparsers(**settings)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's own. All that is wrong is told together."""
        self._given = list(sys.argv[1:] if args is None else args)
        if self._verbs:
            return super().parse_known_args(self._given, namespace)
        problems, rest = [], self._given
        for flag in list(self._unknown(self._given)):
            problems.append(self._guess(flag))
            rest = _without(rest, [flag])
        removed: set[str] = set()
        found: Any = (namespace, [])
        while True:
            try:
                self._collecting = True
                found = super().parse_known_args(rest, namespace)
                break
            except _Wrong as wrong:
                names, text = self._told(str(wrong), removed)
                problems += [text] if text else []
                shorter = _without(rest, names)
                if shorter == rest:
                    break
                removed, rest = removed.union(names), shorter
            finally:
                self._collecting = False
        if problems:
            left = () if self._intermixed or removed else found[1]
            self._end([*problems, self._too_many(left)] if left else problems)
        return found

    def parse_intermixed_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's own."""
        self._intermixed = True
        return super().parse_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Says what argparse found."""
        if self._collecting:
            raise _Wrong(message)
        self._end([self._told(message, set())[1]])

    def _end(self, problems: Sequence[str]) -> NoReturn:
        lines = [f"{self.prog}: {problem}" for problem in problems]
        self.exit(2, "\n".join([*lines, f"{self.prog} --help lists all flags"]) + "\n")

    def _unknown(self, given: Sequence[str]) -> Iterator[str]:
        for argument in given:
            if argument == "--":
                return
            name = argument.partition("=")[0]
            if name.startswith("--") and " " not in name and name not in self._option_string_actions:
                yield name

    def _guess(self, flag: str) -> str:
        known = sorted(name for name in self._option_string_actions if name.startswith("--"))
        begin_so = [name for name in known if name.startswith(flag)]
        alike = begin_so or difflib.get_close_matches(flag, known, n=2, cutoff=0.7)[:1]
        hint = f"; did you mean {' or '.join(alike[:4])}?" if alike else ""
        return f"{flag}: there is no such flag{hint}"

    def _told(self, message: str, removed: set[str]) -> tuple[list[str], str]:
        """The flags that an error of argparse is about, and our words for it; "" for what follows from another one."""
        if found := _OF_AN_ARGUMENT.match(message):
            names, text = found[1], found[2]
            if number := _NO_VALUE.match(text):
                text = f"{number[2]} is not {_NUMBERS[number[1]]}"
            action = self._option_string_actions.get(names.split("/")[0])
            if action is not None and isinstance(action.nargs, int) and text.startswith("expected"):
                text = f"{text}: {_form(action)}"
            return names.split("/"), f"{names}: {text}"
        if found := _MISSING.match(message):
            missing = [name for name in found[1].split(", ") if not removed.intersection(name.split("/"))]
            return [], f"required, but missing: {', '.join(missing)}" if missing else ""
        if (found := _ONE_OF.match(message)) and removed.intersection(re.split("[ /]", found[1])):
            return [], ""
        if found := _TOO_MANY.match(message):
            return [], self._too_many(found[1].split())
        return [], message

    def _too_many(self, arguments: Sequence[str]) -> str:
        shown = " ".join(arguments[:_SHOWN])
        more = f" and {len(arguments) - _SHOWN} more" if len(arguments) > _SHOWN else ""
        text = f"unrecognized arguments: {shown}{more}"
        if arguments[0] not in self._given or arguments[0].startswith("-"):
            return text
        before = self._given[: self._given.index(arguments[0])]
        flag = next((name for name in reversed(before) if name.startswith("-")), None)
        if flag is None or len(before) - 1 == before.index(flag):
            return text
        action = self._option_string_actions.get(flag)
        if action is not None and isinstance(action.nargs, int):
            return f"{text}; {_form(action)}"
        return f"{text}; {flag} takes one value: a pattern such as *.jpg has to be in quotes, or the shell expands it"


def _form(action: argparse.Action) -> str:
    """How a flag of several values is written."""
    assert isinstance(action.nargs, int)
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return " ".join([action.option_strings[0], *[value] * action.nargs])


def _without(arguments: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Arguments without some flags and the value behind each."""
    kept: list[str] = []
    value_follows = False
    for argument in arguments:
        if argument.partition("=")[0] in flags:
            value_follows = "=" not in argument
            continue
        if not (value_follows and not argument.startswith("-")):
            kept.append(argument)
        value_follows = False
    return kept
