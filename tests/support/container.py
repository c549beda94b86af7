"""Runs commands in an image, with Docker, podman or buildah, whichever there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = [line.split() for line in (ROOT / "docker" / "images.txt").read_text().splitlines() if not line.startswith("#")]
VERSIONS = {model: version for model, version, _ in LIST}

# Whom containers run as: a user that the image does not know; another one than yourself can only be had as root.
USER = f"{os.getuid() or 1234}:{os.getgid() if os.getuid() else 1234}"

Command = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a container runs.

    Attributes:
        user: the numbers of user and group.
        mounts: folders here, by where they appear in the container.
        environment: variables beside those of the image.
        read_only: whether all but mounts and /tmp is read-only.
        network: whether it has this machine's network; else it has none.
    """

    user: str = USER
    mounts: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    network: bool = False


class Engine:
    """Docker or podman."""

    def __init__(self, program: str, image: str) -> None:
        self.program, self.image = program, image

    def inspect(self) -> dict[str, Any]:
        """The image's configuration, in the names of the OCI."""
        found: dict[str, Any] = json.loads(_output(self.program, "image", "inspect", self.image))[0]["Config"]
        return found

    def command(self, command: Command, options: Options) -> list[str]:
        """The command line that runs a command in a new container, behind the image's entry point."""
        flags = ["--rm", "-i", "--user", options.user, "--network", "host" if options.network else "none"]
        if self.program == "podman" and os.getuid():
            flags.append("--userns=keep-id")  # else mapped folders are those of root in the container
        flags += [word for name, value in options.environment.items() for word in ("--env", f"{name}={value}")]
        flags += [word for there, here in options.mounts.items() for word in ("--volume", f"{here}:{there}")]
        if options.read_only:
            flags += ["--read-only", "--tmpfs", "/tmp"]
        return [self.program, "run", *flags, self.image, *command]

    def terminate(self, process: subprocess.Popen[str]) -> None:
        """What `docker stop` does first: it sends SIGTERM to the container's first process."""
        process.send_signal(signal.SIGTERM)  # `docker run` hands it on

    def close(self) -> None:
        """Containers are gone when their command has ended."""


class Buildah(Engine):
    """buildah has no containers that run, so they are made from its file system with namespaces. Needs root."""

    def __init__(self, program: str, image: str) -> None:
        super().__init__(program, image)
        self._container = _output(program, "from", image)
        self._root = _output(program, "mount", self._container)
        self._config = self.inspect()

    def inspect(self) -> dict[str, Any]:
        text = _output(self.program, "inspect", "--type", "image", self.image)
        found: dict[str, Any] = json.loads(text)["Docker"]["config"]
        return found

    def command(self, command: Command, options: Options) -> list[str]:
        variables = dict(variable.split("=", 1) for variable in self._config["Env"])
        variables = {**variables, **options.environment}
        script = [f"mkdir -p $root{there}; mount --bind {here} $root{there}" for there, here in options.mounts.items()]
        return [
            "unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", *([] if options.network else ["--net"]),
            "sh", "-euc", _ENTER.format(mounts="\n".join(script), read_only=int(options.read_only)),
            self._root, options.user, self._config["WorkingDir"],
            *(f"{name}={value}" for name, value in variables.items()), *self._config["Entrypoint"], *command,
        ]  # fmt: skip

    def terminate(self, process: subprocess.Popen[str]) -> None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)

    def close(self) -> None:
        _output(self.program, "rm", self._container)


_ENTER = """
root=$0 user=$1 folder=$2
shift 2
PATH=$PATH:/usr/sbin:/sbin  # where chroot is, also for those who became root with su
mount --bind "$root" "$root"
# The names of what is mounted are made before the file system becomes read-only.
{mounts}
touch "$root/etc/hosts" "$root/etc/resolv.conf"
if [ {read_only} = 1 ]; then
  mount -o remount,ro,bind "$root"
fi
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount --bind /etc/hosts "$root/etc/hosts"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
exec chroot --userspec="$user" --groups= "$root" env -C "$folder" -i "$@"
"""


@dataclass(frozen=True)
class Image:
    """An image that is built here.

    Attributes:
        model: the folder of its Dockerfile.
        device: `cpu` or `cuda`.
        engine: what runs it.
    """

    model: str
    device: str
    engine: Engine

    @property
    def commands(self) -> list[str]:
        """The commands of the model, and `maskworks`."""
        return [*commands(self.model), *commands("common/maskworks")]

    def run(self, *command: str, timeout: float = 100, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command in a new container to its end. Keyword arguments are those of `Options`."""
        words = self.engine.command(command, Options(**options))
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)

    @contextmanager
    def start(self, *command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A container that runs until the block ends."""
        words = self.engine.command(command, Options(**options))
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def stop(self, process: subprocess.Popen[str]) -> float:
        """Stops a container: seconds until it had ended."""
        begun = time.monotonic()
        self.engine.terminate(process)
        process.wait(60)
        return time.monotonic() - begun


def commands(folder: str) -> list[str]:
    """The commands that the package in a folder has."""
    scripts = (ROOT / folder / "pyproject.toml").read_text().partition("[project.scripts]\n")[2].partition("\n[")[0]
    return re.findall(r"^[\w-]+", scripts, flags=re.MULTILINE)


def fill(folder: Path, *files: Path, names: Sequence[str] = ()) -> None:
    """Copies files into a folder, which then belongs to `USER` with all that is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = [
        Path(shutil.copyfile(file, folder / name))
        for file, name in zip(files, names or [f.name for f in files], strict=True)
    ]
    user, group = map(int, USER.split(":"))
    for path in (folder.parent, folder, *copies):
        os.chown(path, user, group)


def built(program: str) -> list[str]:
    """The names of the images that are built here, `dextr-cpu` for example."""
    name = "Name" if program == "buildah" else "Repository"
    lines = _output(program, "images", "--format", f"{{{{.{name}}}}}:{{{{.Tag}}}}").splitlines()
    found = [re.fullmatch(r"(?:localhost/)?maskworks-(\w+):(cpu|cuda)", line) for line in lines]
    return sorted(f"{match[1]}-{match[2]}" for match in found if match and match[1] in VERSIONS)


def open_image(program: str, name: str) -> Image:
    """The image of that name; its engine is to be closed."""
    model, _, device = name.rpartition("-")
    return Image(model, device, (Buildah if program == "buildah" else Engine)(program, f"maskworks-{model}:{device}"))


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
