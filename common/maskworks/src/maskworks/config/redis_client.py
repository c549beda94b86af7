"""The settings of the test clients on Redis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskworks.config.flag import Config, flag, switch
from maskworks.config.redis import RedisServerConfig

_SERVER = RedisServerConfig()


@dataclass(frozen=True, kw_only=True)
class ClientConfig(Config):
    """The server, and a channel or stream on it."""

    host: str = flag("HOST", "Redis server", _SERVER.redis_host)
    port: int = flag("PORT", "its port", _SERVER.redis_port, kind=int)
    database: int = flag("DB", "its database", _SERVER.redis_db, kind=int)
    url: str | None = flag("URL", "instead of these three, as --redis_url of workers", None)
    password_env: str | None = flag("NAME", "environment variable with the password", None)
    channel: str = flag("CHANNEL", "channel or stream")
    stream: bool = switch("use a stream instead of a channel")

    @property
    def server(self) -> RedisServerConfig:
        """The same as a worker has it."""
        return RedisServerConfig(
            redis_host=self.host,
            redis_port=self.port,
            redis_db=self.database,
            redis_password_env=self.password_env,
            redis_url=self.url,
        )


@dataclass(frozen=True, kw_only=True)
class SendConfig(ClientConfig):
    """A request; its prompt has flags of the model's own."""

    channel: str = flag("CHANNEL", "channel to send to, or name of the stream with --stream")
    image: Path = flag("FILE", "image to send", kind=Path)
    label: int | None = flag("N", "palette index in the mask, 1 to 255 (default: 1)", None, kind=int)
    id: str | None = flag("ID", "name of the request, comes back with the answer", None)
    reply_to: str | None = flag("CHANNEL", "where this answer is to go", None)
    count: int = flag("N", "how often to send it", 1, kind=int)


@dataclass(frozen=True, kw_only=True)
class ReceiveConfig(ClientConfig):
    """Answers, and their files. `timeout` is seconds."""

    channel: str = flag("CHANNEL", "channel (a pattern) to listen on, or name of the stream with --stream")
    output_dir: Path = flag("DIR", "for the files", kind=Path)
    file_prefix: str = flag("FORMAT", "names of the files without extension, as for strftime", "%Y%m%d_%H%M%S.%f")
    count: int | None = flag("N", "end after so many answers (default: never)", None, kind=int)
    timeout: float | None = flag("S", "end after so many seconds without an answer", None, kind=float)
    errors: str | None = flag("CHANNEL", "where errors come from (default: CHANNEL_errors)", None)
    overlay: Path | None = flag("FILE", "the image: also write PREFIX-overlay.png with it", None, kind=Path)

    @property
    def errors_from(self) -> str:
        """The channel or stream of errors."""
        return self.errors or f"{self.channel}_errors"
