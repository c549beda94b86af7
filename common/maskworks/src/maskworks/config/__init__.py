"""Frozen settings built from the flags: fields, defaults, help and checks stand here, a line each.

Every class says with `problems()` what is wrong with its values; `check` collects the problems of all of them.
"""

from maskworks.config.flag import Config, check, flag, from_args, switch, with_default
from maskworks.config.folder import FolderConfig
from maskworks.config.http import HttpConfig
from maskworks.config.origin import ANY_ORIGIN, read_origin
from maskworks.config.redis import RedisConfig, RedisServerConfig
from maskworks.config.worker import (
    MEBIBYTE,
    PRECISIONS,
    InputConfig,
    LogConfig,
    LoopConfig,
    MetricsConfig,
    ModelConfig,
    ShapeConfig,
)

__all__ = [
    "ANY_ORIGIN", "MEBIBYTE", "PRECISIONS", "Config", "FolderConfig", "HttpConfig", "InputConfig", "LogConfig",
    "LoopConfig", "MetricsConfig", "ModelConfig", "RedisConfig", "RedisServerConfig", "ShapeConfig", "check", "flag",
    "from_args", "read_origin", "switch", "with_default",
]  # fmt: skip
