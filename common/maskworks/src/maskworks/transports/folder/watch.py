"""Waking up early when files arrive, through the operating system's notifications."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from watchdog.events import DirDeletedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

log = logging.getLogger(__name__)


class Watch(FileSystemEventHandler):
    """Sets `wake` whenever a file has arrived in a folder. The next scan finds the files that it misses."""

    def __init__(self, folder: Path, wake: threading.Event) -> None:
        self._wake = wake
        self._observer = Observer()
        try:
            self._observer.schedule(self, str(folder), recursive=False)
            self._observer.start()
        except OSError as error:  # e.g. no more inotify instances
            log.warning("--use_watchdog: cannot watch %s (%s); looking at intervals only", folder, error)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in its own thread."""
        if event.event_type in ("created", "closed", "moved") and not isinstance(event, DirDeletedEvent):
            self._wake.set()

    def close(self) -> None:
        """Ends the watching thread."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
