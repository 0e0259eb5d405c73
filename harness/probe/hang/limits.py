"""From when on a turn is a hang, and when it ends its process."""

from __future__ import annotations

from ...record.probe_config import HANG_MS
from ...record.value import Row


class HangLimits(Row):
    """The times of a turn that lasts; 0 for never."""

    after_ns: int = round(HANG_MS * 1e6)  # it is told, and again each time it has become twice as long
    exit_ns: int = 0  # its process is ended


DEFAULT = HangLimits()
