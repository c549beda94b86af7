"""The state to resume from: MMEngine's log in a checkpoint, and the harmless part of the rest.

The log holds arrays of numpy, see `numpy_stand_ins`, and asks for `getattr`. A file gives whatever it calls its
arguments, so with the real ones it could make numbers pass for addresses (by what offers `__array_interface__`), and
get hold of any function. What stands here takes arrays, and looks at nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from maskworks_torch.numpy_stand_ins import STAND_INS, Array


def known_names() -> list[tuple[Any, str]]:
    """Stand-ins for the names in the file, besides those of tensors."""
    return [
        *((stand_in, name) for name, stand_in in STAND_INS.items()), (_nothing, "builtins.getattr"),
        (_History, "mmengine.logging.history_buffer.HistoryBuffer"), (slice, "builtins.slice"),
    ]  # fmt: skip


class Harmless(Hook):  # type: ignore[misc]  # mmengine has no types
    """Removes everything from a checkpoint that a resumed training would run or delete.

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


class _History(HistoryBuffer):  # type: ignore[misc]  # mmengine has no types
    """In place of `HistoryBuffer`, which it becomes."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        values, counts, longest = (state[key] for key in ("_log_history", "_count_history", "max_length"))
        if not (isinstance(values, Array) and isinstance(counts, Array) and isinstance(longest, int)):
            raise TypeError("a history that is not made of arrays")
        HistoryBuffer.__init__(self, values, counts, longest)
        self.__class__ = HistoryBuffer


def _nothing(*_: object) -> None:
    """In place of `getattr`, which is asked for the ways to sum a history up; every `HistoryBuffer` has them anyway."""
