"""Runs the load driver in this process."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from harness.drive.load.driver import drive
from harness.drive.load.driver_config import DriverConfig
from harness.record.event import Event
from harness.record.writer import Writer
from tests.support.recorded import events_in


async def driven(config: DriverConfig, events: Path) -> list[Event]:
    """Drive to the end of the load; the record in the folder *events*."""
    with closing(Writer(events, "driver")) as writer:
        await drive(config, writer)
    return events_in(events)
