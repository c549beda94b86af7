"""The test clients as installed commands."""

from __future__ import annotations

import sysconfig
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))
POINTS = ["-P", "8,4", "4.0,8", "12,8.5", "8,12"]
