"""The keys of prompts: those that there are, those that other programs use instead, and those that nobody reads.

A key that nobody knows is told to the requester, and left alone. One that other programs have for a prompt is refused:
without it the prompt is another one, and its answer would be wrong without a sign.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maskworks.errors import BadPrompt
from maskworks.wire.prompt_aliases import meaning

WHERE = ("points", "box", "mask_input")
# Wishes that only some models fulfil.
OPTIONS = ("low_res_logits", "mask_choice")
RESERVED = "text"
OBJECT_KEYS = frozenset({*WHERE, *OPTIONS, RESERVED, "label", "name"})
PROMPT_KEYS = OBJECT_KEYS | {"objects"}
_WITHOUT_EFFECT = ("label", "name", "low_res_logits")  # beside a prompt, where some clients send them
CORNERS = ("x0", "y0", "x1", "y1")
CLICK_KEYS = frozenset({"x", "y", "label"})
MOST_IGNORED = 100  # key paths that are told


@dataclass(frozen=True, slots=True)
class UnusualKeys:
    """Keys of a prompt that are not for every model.

    Attributes:
        ignored: paths of those that nothing reads, as `objects[1].note`; the first ones of many.
        options: paths of those that only some models read, of `OPTIONS`.
    """

    ignored: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def check_keys(prompt: Mapping[str, Any], at: str = "") -> UnusualKeys:
    """Looks at the keys of a prompt alone; their values are for `parse_prompt`.

    Args:
        prompt: a JSON object.
        at: what stands before its paths in the result, as `prompt.`; not in errors, as their paths begin in the prompt.

    Raises:
        BadPrompt: a key is what other programs call one of ours.
    """
    ignored, options = list[str](), list[str]()
    for path, value, known in _parts(prompt):
        for key in value:
            if key in known:
                continue
            meant = meaning(key, value[key], typos=len(ignored) < MOST_IGNORED)
            if meant:
                raise _mistaken(f"{path}{key}", meant)
            if len(ignored) < MOST_IGNORED:
                ignored.append(f"{at}{path}{key}")
        options += [f"{at}{path}{key}" for key in OPTIONS if key in value and known & {key}]
    return UnusualKeys(tuple(map(shortened, ignored)), tuple(options))


def check_beside(names: Iterable[tuple[str, Any]], place: str) -> tuple[str, ...]:
    """Those of the names beside a prompt that nothing reads; where the prompt is a thing of its own.

    Args:
        names: with their values.
        place: where they stand, for the error.

    Raises:
        BadPrompt: a name is that of a key of prompts, or what other programs call one. Not so `label`, `name` and
            `low_res_logits`, which stood there without effect, or for things of the requester's own.
    """
    ignored: list[str] = []
    for name, value in names:
        if name in PROMPT_KEYS:
            if name not in _WITHOUT_EFFECT and not _is_empty(value):
                raise BadPrompt(name[:60], place, "it inside of the prompt, where it counts")
        elif meant := meaning(name, value, typos=len(ignored) < MOST_IGNORED):
            raise _mistaken(name, meant)
        ignored.append(name)
    return ignored_names(ignored)


def ignored_names(names: Iterable[str]) -> tuple[str, ...]:
    """As many of the names as are told."""
    return tuple(shortened(name) for name in itertools.islice(names, MOST_IGNORED))


def shortened(path: str) -> str:
    """A path that is not longer than anyone wants to read."""
    return path if len(path) <= 100 else f"{path[:97]}..."


def _parts(prompt: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], frozenset[str]]]:
    """Each JSON object in a prompt: the path of its keys, itself, and the keys that it may have."""
    yield "", prompt, PROMPT_KEYS - {"name"} if "objects" in prompt else PROMPT_KEYS
    yield from _of_object(prompt, "")
    for index, entry in _objects_in(prompt.get("objects")):
        path = f"objects[{index}]."
        yield path, entry, PROMPT_KEYS
        yield from _of_object(entry, path)


def _of_object(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], frozenset[str]]]:
    for index, click in _objects_in(value.get("points")):
        if click.keys() != CLICK_KEYS:
            yield f"{path}points[{index}].", click, CLICK_KEYS
    box = value.get("box")
    if isinstance(box, dict):
        yield f"{path}box.", box, frozenset(CORNERS)


def _objects_in(values: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(values, list):
        yield from ((index, value) for index, value in enumerate(values) if isinstance(value, dict))


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _mistaken(path: str, meant: str) -> BadPrompt:
    return BadPrompt(shortened(path), "not a key of prompts", f"{meant}: did you mean that?")
