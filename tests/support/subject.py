"""The model whose commands are put under load."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The commands of a model, and how requests look to it.

    Attributes:
        name: how its commands begin.
        flags: which model file they load, and on which device.
        suffix: of its prompt files; None if it needs no prompts.
        folder_command: what the folder command is called behind the name.
        server: the command line of its HTTP server where that is not `<name>_serve` with the flags above.
    """

    name: str
    flags: tuple[str, ...]
    suffix: str | None
    folder_command: str = "predict_poll"
    server: tuple[str, ...] = ()

    def command(self, kind: str, *flags: str) -> list[str]:
        """The command line of `kind`: `folder`, `redis` or `http`."""
        if kind == "http":
            name, *own = self.server or (f"{self.name}_serve", *self.flags)
        else:
            verb = "predict_redis" if kind == "redis" else self.folder_command
            name, *own = (f"{self.name}_{verb}", *self.flags)
        return [str(Path(sysconfig.get_path("scripts")) / name), *own, "--device", "cpu", "--quiet", *flags]


DEXTR = Subject(name="dextr", flags=("--model", "demo", "--max_pixels", "10000000"), suffix=".points")
