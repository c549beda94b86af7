"""Config files of detectron2: YAML with `_BASE_`, and strings that are Python literals."""

from __future__ import annotations

import ast
import difflib
import logging
import math
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from maskworks.regular_file import read_regular
from tensormask.config_values import MISSING, lookup, shown
from tensormask.errors import ConfigError

log = logging.getLogger(__name__)

NEWEST_VERSION = 2
_LARGEST_FILE = 1024 * 1024
_DEEPEST = 20
_MOST_FILES = 100
_LONGEST_NUMBER = 5_000  # characters; Python's own limit for decimal ones is about that
# Keys that had another name in files without VERSION, or with VERSION 1.
_RENAMED = {("MODEL", "WEIGHT"): "WEIGHTS", ("TEST", "DETECTIONS_PER_IMG"): "DETECTIONS_PER_IMAGE"}
# Keys of detectron2 that are usual on its command line and without effect here, and the flags instead.
_WITHOUT_EFFECT = {
    "MODEL.DEVICE": "give --device", "TEST.EVAL_PERIOD": "nothing is evaluated while it trains",
    "DATASETS.TEST": "nothing is evaluated while it trains", "VIS_PERIOD": "no pictures are written",
    "CUDNN_BENCHMARK": "cuDNN is left as it is",
}  # fmt: skip


def read(path: Path, overrides: Sequence[str] = (), known: Collection[str] = ()) -> dict[str, Any]:
    """The nested values of a config file, over those of its bases.

    A `_BASE_` is relative to the file that names it; of several bases the later one wins. Maps are merged, everything
    else is replaced. A string that is a Python literal (`"(640, 800)"`, `"1e-3"`) becomes its value.

    Args:
        path: the file.
        overrides: KEY VALUE KEY VALUE ..., keys with dots, merged over the file.
        known: keys that overrides may have, besides those in the file and those that have no effect, which is said.

    Raises:
        ConfigError: missing, not YAML, with tags that would make Python objects, or with bases without end; or an
            override's key is not known.
    """
    values = _read(path, 0, [])
    version = values.get("VERSION", 1 if "WEIGHT" in _section(values, "MODEL") else NEWEST_VERSION)
    if version not in (1, NEWEST_VERSION):
        raise ConfigError(str(path), [f"VERSION is {shown(version)}; expected {NEWEST_VERSION}"])
    for (section, old), new in _RENAMED.items():
        found = _section(values, section)
        if version == 1 and old in found:
            found[new] = found.pop(old)
    if len(overrides) % 2:
        raise ConfigError(str(path), [f"{overrides[-1]} has no value; expected KEY VALUE KEY VALUE ..."])
    for key in overrides[::2]:
        if key in _WITHOUT_EFFECT:
            log.warning("%s has no effect here: %s", key, _WITHOUT_EFFECT[key])
    meant = {*known, *_WITHOUT_EFFECT}
    unknown = [key for key in overrides[::2] if key not in meant and lookup(values, key, MISSING) is MISSING]
    if unknown:
        raise ConfigError(str(path), [_unknown(key, known) for key in unknown])
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        nested: Any = literal(text)
        for name in reversed(key.split(".")):
            nested = {name: nested}
        _merge(nested, values)
    return values


def write(values: dict[str, Any], path: Path) -> None:
    """Writes nested values as a config file without bases, which gives the same values when it is read."""
    path.write_text(yaml.safe_dump(_quoted(values), sort_keys=True), encoding="utf-8")


def literal(text: str) -> Any:
    """The value of a string: that of a Python literal, else the string itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings that are paths
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Makes plain values only; strings are read as literals."""


def _construct_string(loader: _Loader, node: yaml.ScalarNode) -> Any:
    return literal(str(loader.construct_scalar(node)))


_Loader.add_constructor("tag:yaml.org,2002:str", _construct_string)


def _quoted(value: Any) -> Any:
    """With Python's quotes around strings that would be read as something else, e.g. a folder called 2026."""
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return repr(value) if isinstance(value, str) and literal(value) != value else value


def _unknown(key: str, known: Collection[str]) -> str:
    section, _, name = key.rpartition(".")
    names = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == section]
    near = difflib.get_close_matches(name, names, 1)
    return f"{key} is not a key of this config" + (f"; did you mean {key.removesuffix(name)}{near[0]}?" if near else "")


def _read(path: Path, depth: int, files: list[Path]) -> dict[str, Any]:
    """The values of a file and its bases; `files` has those that were read, each as often as it was."""
    files.append(path)
    if depth > _DEEPEST:
        raise ConfigError(str(path), [f"_BASE_ leads through more than {_DEEPEST} files; does one name itself?"])
    if len(files) > _MOST_FILES:
        raise ConfigError(str(files[0]), [f"has more than {_MOST_FILES} bases; expected a few"])
    own = _parse(path)
    bases = own.pop("_BASE_", [])
    values: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases if isinstance(bases, (list, tuple)) else [bases]:
        _merge(_read(_base_path(path, base), depth + 1, files), values)
    _merge(own, values)
    return values


def _parse(path: Path) -> dict[str, Any]:
    try:
        loader = _Loader(read_regular(path, _LARGEST_FILE).decode())
        try:
            values = _construct(loader, path)
        finally:
            loader.dispose()
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}; expected a config file"]) from None
    except yaml.constructor.ConstructorError as error:
        raise ConfigError(str(path), [f"refused: {error.problem}; expected plain values"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigError(str(path), [f"not YAML: {_one_line(error)}"]) from None
    if not isinstance(values, dict):
        raise ConfigError(str(path), [f"holds {type(values).__name__}; expected sections such as MODEL"])
    return values


def _construct(loader: _Loader, path: Path) -> Any:
    """The values of a document, of which the nodes are counted before anything is made of them."""
    node = loader.get_single_node()
    if node is None:
        return None
    if _written_out(node, {}) > _LARGEST_FILE:
        raise ConfigError(str(path), ["its aliases stand for too many values; expected a config"])
    return loader.construct_document(node)


def _written_out(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values it would be if what aliases stand for were written in their place; what is known by identity.

    Merges (`<<`) copy no more than that, however deep they go.
    """
    if isinstance(node, yaml.ScalarNode):
        if node.tag.endswith((":int", ":float")) and len(node.value) > _LONGEST_NUMBER:
            raise ValueError("a number of thousands of digits")
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf  # for what contains itself
        pairs = node.value if isinstance(node, yaml.MappingNode) else ((item,) for item in node.value)
        known[id(node)] = 1 + sum(_written_out(item, known) for pair in pairs for item in pair)
    return known[id(node)]


def _base_path(path: Path, base: object) -> Path:
    if not isinstance(base, str):
        raise ConfigError(str(path), [f"_BASE_ is {type(base).__name__}; expected a path or a list of paths"])
    if base.startswith(("http://", "https://")):
        raise ConfigError(str(path), [f"_BASE_ is {base}; expected a path, download it first"])
    return path.parent / Path(base).expanduser()


def _merge(values: dict[Any, Any], into: dict[Any, Any], depth: int = 0) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and depth < _DEEPEST:
            _merge(value, into[key], depth + 1)
        else:
            into[key] = dict(value) if isinstance(value, dict) else value


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    return section if isinstance(section, dict) else {}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
