"""What a training goes on from: MMEngine's log in a checkpoint, and what of a checkpoint is harmless.

The log holds arrays of numpy, and asks for `getattr`. A file gives whatever it calls its arguments, so with the real
ones it could make numbers pass for addresses (by the flags of a type, or by what offers `__array_interface__`), and
get hold of any function. What stands here takes numbers and text, and looks at nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

_NUMBERS_OR_TEXT = re.compile(r"[biufc][1-9][0-9]?|[SU][1-9][0-9]{0,4}")


def known_names() -> list[tuple[Any, str]]:
    """What is called in place of the names that stand in the file, besides those of tensors."""
    cores = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [
        *((_Array, f"{core}._reconstruct") for core in cores), *((_scalar, f"{core}.scalar") for core in cores),
        (_Array, "numpy.ndarray"), (_Type, "numpy.dtype"), (_nothing, "builtins.getattr"),
        (_History, "mmengine.logging.history_buffer.HistoryBuffer"), (slice, "builtins.slice"),
    ]  # fmt: skip


class Harmless(Hook):  # type: ignore[misc]  # mmengine has no types
    """Takes out of a checkpoint what a training that goes on from it would run or delete.

    It runs the config (to look up a number of GPUs), and deletes the best checkpoint, file or folder, for a better one.
    """

    def after_load_checkpoint(self, runner: Any, checkpoint: Any) -> None:
        """Keeps a best checkpoint that is in the work dir."""
        if isinstance(checkpoint.get("meta"), dict):
            checkpoint["meta"] = {key: value for key, value in _items(checkpoint["meta"]) if key != "config"}
        if isinstance(checkpoint.get("message_hub"), dict):
            log = dict(_items(checkpoint["message_hub"]))
            if isinstance(log.get("runtime_info"), dict):
                own = Path(runner.work_dir).resolve()
                log["runtime_info"] = {
                    key: value
                    for key, value in _items(log["runtime_info"])
                    if not str(key).startswith("best_ckpt") or Path(str(value)).resolve().parent == own
                }
            checkpoint["message_hub"] = log


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    """Without the mapping's methods: a file can put something else in the place of those of an OrderedDict."""
    return [(key, mapping[key]) for key in mapping]


class _Type:
    """In place of `numpy.dtype`."""

    def __init__(self, name: object, *_flags: object) -> None:
        if not isinstance(name, str) or not _NUMBERS_OR_TEXT.fullmatch(name):
            raise TypeError(f"an array of type {str(name)[:20]}; expected numbers or text")
        self.numpy = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        """Only the second value, the order of bytes, says something about numbers."""
        self.numpy = self.numpy.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array that gets its shape and content afterwards, once: a tensor may share its memory by then."""

    def __new__(cls, *_: object) -> _Array:
        return super().__new__(cls, (0,), "b")

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, by_columns, data = state
        if self.size:
            raise TypeError("an array that is filled twice")
        super().__setstate__((version, shape, _numpy(kind), by_columns, data))

    def __reduce__(self) -> Any:
        """In a checkpoint that is written it is an array like any other."""
        return np.array(self).__reduce__()


class _History(HistoryBuffer):  # type: ignore[misc]  # mmengine has no types
    """In place of `HistoryBuffer`, which it becomes."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        values, counts, longest = (state[key] for key in ("_log_history", "_count_history", "max_length"))
        if not (isinstance(values, _Array) and isinstance(counts, _Array) and isinstance(longest, int)):
            raise TypeError("a history that is not made of arrays")
        HistoryBuffer.__init__(self, values, counts, longest)
        self.__class__ = HistoryBuffer


def _nothing(*_: object) -> None:
    """In place of `getattr`, which is asked for the ways to sum a history up; every `HistoryBuffer` has them anyway."""


def _scalar(kind: Any, data: Any) -> Any:
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), _numpy(kind))[0]


def _numpy(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, _Type):
        raise TypeError(f"{type(kind).__name__} where the type of an array should be")
    return kind.numpy
