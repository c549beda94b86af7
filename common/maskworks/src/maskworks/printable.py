"""Text of others, such as ids and names of files, on a terminal or in a log."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text on one line, with an escape such as `\x07` or `\u202e` for each character that does not print.

    So nobody's id rings a bell, moves the cursor, turns the direction of what follows, or looks like a line of its own.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
