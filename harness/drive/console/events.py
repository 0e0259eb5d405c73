"""Reads from the target's record where its consoles have opened."""

from __future__ import annotations

from pathlib import Path

from ...record.event import ConsoleOpened, ProbeFailed
from ...record.process import console_endpoint
from ...record.reader import Follower
from ...record.run_folder import RunFolder


class ConsoleEvents:
    """Follows the target's record for its consoles; each process that runs a loop has one."""

    def __init__(self, folder: RunFolder) -> None:
        self._events = Follower(folder.events, "target-*.jsonl")

    def poll(self) -> list[str]:
        """For each console that has opened since the previous call: how to reach it, or why it failed."""
        return [line for _, event in self._events.new_events() if (line := _line(event))]


def _line(event: object) -> str:
    match event:
        case ConsoleOpened(pid=pid, card=path, port=port, note=note):
            # The token is not in the record, which other users may read.
            found = console_endpoint.read(Path(path)) if port is not None else None
            telnet = f", or telnet 127.0.0.1 {port} and the token {found.token}" if found else ""
            return f"harness attach {pid}{telnet}{f' ({note})' if note else ''}"
        case ProbeFailed(where="console", error=error):
            return f"failed: {error}"
    return ""
