"""An unpickler that imports nothing and runs nothing.

A pickle names classes and functions, and unpickling calls them: that is how a file of weights can run any code. Here
each name is looked up in a closed table of functions and classes of our own. Any other name ends the reading.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar


class UnknownName(pickle.UnpicklingError):
    """The pickle asks for a name that is in no table: to load it would run code from it.

    Attributes:
        name: what it asks for, e.g. `posix.system`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}")
        self.name = name


class ClosedUnpickler(pickle._Unpickler):  # in Python: the one in C lets a few bytes of a file take all memory
    """Reads one pickle by a table.

    Args:
        file: open in binary mode, at the start of the pickle.
        known: what is called in place of the names that stand in the file.
        changeable: the classes of which a pickle may set the state of instances. It could change the functions of the
            table otherwise.
        encoding: of text that Python 2 wrote.

    Raises (from `load`):
        UnknownName: a name that is not in the table.
        pickle.UnpicklingError, and what else a malformed pickle causes; see `checkpoints.READER_ERRORS`.
    """

    def __init__(
        self, file: IO[bytes], known: Mapping[str, Any], changeable: tuple[type, ...], encoding: str = "ASCII"
    ) -> None:
        super().__init__(file, fix_imports=False, encoding=encoding)
        self._known, self._changeable = known, changeable

    def _load_bytearray(self: Any) -> None:
        """As in the base class, but memory is taken for what is there, not for what is announced."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    def _load_build(self: Any) -> None:
        """As in the base class, but for some classes only."""
        if not isinstance(self.stack[-2], self._changeable):
            raise pickle.UnpicklingError(f"it changes a {type(self.stack[-2]).__name__}")
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _load_bytearray, pickle.BUILD[0]: _load_build
    }  # fmt: skip

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a class or function."""
        name = f"{module_name}.{global_name}"
        if name not in self._known:
            raise UnknownName(name)
        return self._known[name]
