"""Class names in the data of a config, and their agreement with model and annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.registry import DefaultScope

from maskworks.errors import ConfigError
from maskworks_mmdet.class_names import VARIABLE
from maskworks_mmdet.heads import class_counts, things

_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def name_classes(config: Config, names: tuple[str, ...]) -> None:
    """Tells all datasets of a config their class names."""
    for _, dataset in _datasets(config):
        dataset["metainfo"] = {**(dataset.get("metainfo") or {}), "classes": names}


def check_classes(config: Config) -> None:
    """Sees, before anything is trained, that there are as many class names as classes, annotated and in that order.

    The data for tests, which no training reads, may be missing.

    Raises:
        ConfigError: that is not so.
    """
    problems: list[str] = []
    trained: tuple[str, ...] | None = None
    order: list[str] = []  # of the categories that the first annotations have
    for loader, dataset in _datasets(config):
        names = _names(dataset)
        if names is None or loader == "test_dataloader":
            continue
        if loader == "train_dataloader":
            trained = trained or names
        annotations = _annotations(dataset)
        if annotations is None:
            continue
        try:
            annotated = _categories(annotations, loader)
        except ConfigError as error:
            problems += error.problems
            continue
        order = order or [name for name in dict.fromkeys(annotated) if name in names]
        problems += (f"{loader}: {problem}" for problem in _misfits(annotations, annotated, names, order))
    if trained is not None:
        problems += _miscounted(config, things(trained, config.model))
    if problems:
        raise ConfigError(problems)


def _miscounted(config: Config, names: tuple[str, ...]) -> Iterator[str]:
    wrong = {path: count for path, count in class_counts(config.model).items() if count != len(names)}
    if wrong:
        settings = " ".join(f"{path}={len(names)}" for path in wrong)
        yield (
            f"{len(names)} class names ({_listed(names)}), but {', '.join(f'{p} is {c}' for p, c in wrong.items())}; "
            f"set {VARIABLE}, or --cfg-options {settings}"
        )


def _annotations(dataset: Any) -> Path | None:
    """The annotation file of a dataset in COCO's format; None if it is something else, or not a file here."""
    parts = [str(dataset.get(key) or "") for key in ("data_root", "ann_file")]
    elsewhere = dataset.get("backend_args") or any("://" in part for part in parts)
    return None if elsewhere or "Coco" not in str(dataset["type"]) else Path(*parts)


def _categories(file: Path, loader: str) -> list[str]:
    """The names of the categories in an annotation file, in its order."""
    try:
        return [str(category["name"]) for category in orjson.loads(file.read_bytes())["categories"]]
    except OSError as error:
        problem = f"{error.strerror}; set {loader}.dataset.data_root and .ann_file"
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}; expected annotations in COCO's format"
    raise ConfigError([f"{loader}: {file}: {problem}"])


def _misfits(file: Path, annotated: list[str], names: tuple[str, ...], order: list[str]) -> Iterator[str]:
    """Problems of the categories of an annotation file; `order` is that of the first file that is trained with.

    MMDetection drops classes without a category, and numbers the others in the file's order, not in that of the names.
    """
    absent = [name for name in names if name not in annotated]
    blank = [name for name in annotated if name not in names and name.strip() in absent]
    twice = [name for name in names if annotated.count(name) > 1]
    ordered = [name for name in annotated if name in names]
    expected = order if set(order) == set(names) else ordered
    if blank:
        yield f"{file} has categories that begin or end with a blank: {_quoted(blank)}; take the blanks away there"
    elif absent:
        yield (
            f"{file} has no category {_listed(absent)}; its categories are {_listed(annotated)}; "
            f"set {VARIABLE}, for example to {_quoted(dict.fromkeys(annotated))}"
        )
    elif twice:
        yield f"{file} has more than one category {_listed(twice)}; give each name to one category there"
    elif not ordered == list(names) == expected:
        remedy = f"set {VARIABLE} to {_quoted(expected)}"
        if ordered != expected:
            remedy = f"sort them there: {_listed(expected, len(expected))}"
        yield (
            f"the classes are {_listed(names)}, but {file} has its categories in another order, by which objects would "
            f"get each other's names; {remedy}"
        )


def _names(dataset: Any) -> tuple[str, ...] | None:
    """The class names that a dataset will have: those of its `metainfo`, else those of its type."""
    own = (dataset.get("metainfo") or {}).get("classes")
    if own is None:
        kind = dataset["type"]
        with DefaultScope.overwrite_default_scope("mmdet"):
            kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        own = getattr(kind, "METAINFO", {}).get("classes")
    if isinstance(own, str):
        return _from_file(own)
    return None if own is None else tuple(own)


def _from_file(text: str) -> tuple[str, ...]:
    """Names from the lines of a file, as MMEngine takes a text for its path; else the text is the only name."""
    try:
        return tuple(list_from_file(text))
    except (OSError, TypeError):
        return (text,)


def _datasets(config: Config) -> Iterator[tuple[str, Any]]:
    """All datasets of a config, also those inside of others, with the names of their loaders."""
    for loader in _LOADERS:
        if config.get(loader):
            yield from ((loader, dataset) for dataset in _inside(config[loader].get("dataset")))


def _inside(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, (list, tuple)):
        for one in dataset:
            yield from _inside(one)
    elif dataset is not None:
        inner = [dataset[key] for key in ("dataset", "datasets") if dataset.get(key) is not None]
        yield from (found for one in inner for found in _inside(one)) if inner else (dataset,)


def _quoted(names: Iterable[str]) -> str:
    """Names as they are given to a shell."""
    listed = ",".join("'" + name.replace("'", "''") + "'" for name in names)
    return '"' + re.sub(r'(["$`\\])', r"\\\1", listed) + '"'


def _listed(names: Any, most: int = 8) -> str:
    names = list(names)
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
