"""Ctrl-C while a command still loads its modules: it ends without a traceback. Imported before all else.

Later `maskworks.commands.run` and `maskworks.shutdown` see to it. Other exceptions are shown as ever.
"""

from __future__ import annotations

import sys
from types import TracebackType


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    cause: BaseException | None = error
    while cause is not None:  # libraries take it for an import that failed
        if isinstance(cause, KeyboardInterrupt):
            return
        cause = cause.__cause__ or cause.__context__
    _before(kind, error, trace)


_before = sys.excepthook
sys.excepthook = _show
