"""Warnings that are counted instead of written."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from maskworks.transports.http import sparing
from maskworks.transports.http.sparing import Sparing


def test_a_warning_is_given_at_once_and_then_counted(monkeypatch, caplog):
    now = 1e6
    monkeypatch.setattr(sparing, "time", SimpleNamespace(monotonic=lambda: now))
    warnings = Sparing(logging.getLogger("maskworks.test"))
    for _ in range(5):
        warnings.warn("full")
        now += 10
    assert [record.getMessage() for record in caplog.records] == ["full"]
    now += 10
    warnings.warn("full")
    assert [record.getMessage() for record in caplog.records][1:] == ["full (5 times since this was said)"]
    now += 60
    warnings.warn("full")
    assert [record.getMessage() for record in caplog.records][2:] == ["full"]
