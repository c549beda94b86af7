"""An unpickler that imports nothing, runs nothing, and makes little more than what the file holds.

A pickle names classes and functions, and unpickling calls them: that is how a file of weights can run any code. Here
each name is looked up in a closed table of functions and classes of our own. Any other name ends the reading.

A pickle can also have a thing of a few megabytes copied a thousand times. So there is an allowance by the size of the
file, and whatever is made is charged to it.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar, TypeAlias


class UnknownName(pickle.UnpicklingError):
    """The pickle asks for a name that is in no table: to load it would run code from it.

    Attributes:
        name: what it asks for, e.g. `posix.system`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}")
        self.name = name


_BASE, _TIMES = 64 << 20, 4  # the allowance in bytes: a base, and how many times the size of the file
_STEP = 100  # bytes that a step of the reading may take: an empty set takes more, a reference less
_ITEM = 64  # bytes for an item of a container

_MOST_LONG_NUMBERS = 1000  # of more than 64 bits

_Load: TypeAlias = Callable[[Any], None]


def _counted(load: _Load) -> _Load:
    """With the charge for a step."""

    def step(unpickler: Any) -> None:
        unpickler.charge(_STEP)
        load(unpickler)

    return step


def _making(load: _Load) -> _Load:
    """With the charge for what a function or class is given, which it goes through, and for what it makes of it."""

    def make(unpickler: Any) -> None:
        given = unpickler.stack[-1] if unpickler.stack else ()
        unpickler.charge(sum(map(_length, given)) if isinstance(given, tuple) else 0)
        load(unpickler)
        made = unpickler.stack[-1]
        unpickler.charge(getattr(made, "nbytes", 0) or _length(made))

    return make


def _short(load: _Load) -> _Load:
    """For whole numbers. Of long ones it is easy to find many of one hash, whose table takes for ever."""

    def check(unpickler: Any) -> None:
        load(unpickler)
        unpickler.long_numbers += unpickler.stack[-1].bit_length() > 64
        if unpickler.long_numbers > _MOST_LONG_NUMBERS:
            raise pickle.UnpicklingError(f"more than {_MOST_LONG_NUMBERS} whole numbers of more than 64 bits")

    return check


def _length(value: Any) -> int:
    """About the bytes of a text or a container, without what it contains; 0 for all else."""
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    return _ITEM * len(value) if isinstance(value, (list, tuple, dict, set, frozenset)) else 0


class ClosedUnpickler(pickle._Unpickler):  # in Python: the one in C lets a few bytes of a file take all memory
    """Reads one pickle by a table.

    Args:
        file: open in binary mode, at the start of the pickle.
        known: what is called in place of the names that stand in the file.
        changeable: the classes of which a pickle may set the state of instances. It could change the functions of the
            table otherwise.
        size: bytes of the file that the pickle is in; what is made of it may take a multiple of them.
        encoding: of text that Python 2 wrote.

    Raises (from `load`):
        UnknownName: a name that is not in the table.
        ValueError: it would make far more than it holds.
        pickle.UnpicklingError, and what else a malformed pickle causes; see `checkpoints.READER_ERRORS`.
    """

    def __init__(
        self,
        file: IO[bytes],
        known: Mapping[str, Any],
        changeable: tuple[type, ...],
        size: int,
        encoding: str = "ASCII",
    ) -> None:
        whole = isinstance(file, io.BytesIO)  # then it gives no more than it has
        super().__init__(file if whole else _Within(file, size), fix_imports=False, encoding=encoding)
        self._known, self._changeable = known, changeable
        self.long_numbers = 0
        self._allowance = _BASE + _TIMES * size

    def charge(self, size: int) -> None:
        """Takes bytes off the allowance.

        Raises:
            ValueError: it is used up.
        """
        self._allowance -= size
        if self._allowance < 0:
            raise ValueError("it would take far more memory than it has bytes")

    def _load_bytearray(self: Any) -> None:
        """As in the base class, but memory is taken for what is there, not for what is announced."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    def _load_build(self: Any) -> None:
        """As in the base class, but for some classes only."""
        if not isinstance(self.stack[-2], self._changeable):
            raise pickle.UnpicklingError(f"it changes a {type(self.stack[-2]).__name__}")
        state = self.stack[-1]
        self.charge(sum(map(_length, state)) if isinstance(state, tuple) else _length(state))
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)

    dispatch: ClassVar[dict[int, _Load]] = {
        **{code: _counted(load) for code, load in pickle._Unpickler.dispatch.items()},
        **{
            code[0]: _counted(_making(pickle._Unpickler.dispatch[code[0]]))
            for code in (pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ)
        },
        **{
            code[0]: _counted(_short(pickle._Unpickler.dispatch[code[0]]))
            for code in (pickle.INT, pickle.LONG, pickle.LONG1, pickle.LONG4)
        },
        pickle.BYTEARRAY8[0]: _counted(_load_bytearray),
        pickle.BUILD[0]: _counted(_load_build),
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a class or function."""
        name = f"{module_name}.{global_name}"
        if name not in self._known:
            raise UnknownName(name)
        return self._known[name]


class _Within:
    """A file of which no more is asked than it can have: for what is announced, memory would be taken."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._read, self._size, self.readline = file.read, size, file.readline

    def read(self, size: int) -> bytes:
        """As of a file."""
        return self._read(min(size, self._size))
