"""What the target says of its console, found in its record."""

from __future__ import annotations

from ..record.event import ArtefactWritten, ProbeFailed
from ..record.reader import Follower
from ..record.run import RunFolder


class ConsoleNews:
    """Reads the target's record until the first word about its console."""

    def __init__(self, folder: RunFolder) -> None:
        self._notes = Follower(folder.events, "target-*.jsonl")
        self._found = ""

    def look(self) -> str:
        """How to reach the console, or why there is none; "" as long as nothing is known."""
        if not self._found:
            self._found = self._find()
        return self._found

    def _find(self) -> str:
        for _, event in self._notes.new_events():
            match event:
                case ArtefactWritten(tool="aiomonitor", note=address):
                    return address
                case ProbeFailed(where="console", error=error):
                    return f"there is none: {error}"
        return ""
