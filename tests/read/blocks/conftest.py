"""Fixtures: a record with a loop."""

from __future__ import annotations

import pytest

from tests.read.conftest import Record, Recording


@pytest.fixture
def made(record: Record) -> Recording:
    recording = record()
    recording.loop(limit_ms=50)
    return recording
