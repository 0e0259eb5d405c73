"""What the target says of its console, found in its record."""

from __future__ import annotations

from pathlib import Path

from ...record import console_endpoint
from ...record.event import ConsoleOpened, ProbeFailed
from ...record.reader import Follower
from ...record.run import RunFolder


class ConsoleEvents:
    """Reads the target's record for words about its consoles: each process that runs a loop has one."""

    def __init__(self, folder: RunFolder) -> None:
        self._notes = Follower(folder.events, "target-*.jsonl")

    def look(self) -> list[str]:
        """How to reach each console that has opened since, or why there is none."""
        return [line for _, event in self._notes.new_events() if (line := _line(event))]


def _line(event: object) -> str:
    match event:
        case ConsoleOpened(pid=pid, card=path, port=port, note=note):
            # The token is not in the record, which others may read.
            found = console_endpoint.read(Path(path)) if port is not None else None
            telnet = f", or telnet 127.0.0.1 {port} and the token {found.token}" if found else ""
            return f"harness attach {pid}{telnet}{f' ({note})' if note else ''}"
        case ProbeFailed(where="console", error=error):
            return f"something is wrong: {error}"
    return ""
