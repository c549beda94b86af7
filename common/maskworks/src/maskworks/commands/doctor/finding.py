"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from maskworks.errors import MaskworksError

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        topic: what was looked at.
        state: `ok`; `note` for what may be right or wrong, depending on what is wanted; `problem` for what will fail.
        text: what was found, and for a problem what to do.
    """

    topic: str
    state: State
    text: str


Checkup = Callable[[str, str], Iterable[Finding]]
"""A model's own check: with the names of a device and a precision, as of --device and --precision, to its findings."""


def guarded(topic: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; that it fails itself is a problem, too, and the others still run."""
    try:
        yield from check()
    except MaskworksError as error:
        yield Finding(topic, "problem", error.message)
    except Exception as error:  # noqa: BLE001 - a broken installation fails in any way it likes
        yield Finding(topic, "problem", f"{type(error).__name__}: {error}".partition("\n")[0])
