"""The faults that are in force, as files in the control folder: a process that starts later reads them there.

The runner posts a fault before it asks the living processes to inject it, and removes it before it asks them
to heal it. A process opens its control socket before it reads the board, so it gets each fault in one way or
the other, and none that was healed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_SUFFIX = ".fault"


class FaultBoard:
    """The board in one control folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def post(self, request: Mapping[str, object]) -> None:
        """Put up an injection request; *request* has an ``id``.

        Raises:
            OSError: The folder cannot be written.
        """
        # Renamed into place, so that nobody reads half a request.
        aside = self._folder / f".{request['id']}.{os.getpid()}"
        aside.write_text(json.dumps(request))
        aside.rename(self._path(str(request["id"])))

    def remove(self, fault_id: str) -> None:
        """Take a request down, if it is there."""
        with suppress(OSError):
            self._path(fault_id).unlink()

    def posted(self) -> list[dict[str, Any]]:
        """The requests of the faults in force; without those that are taken down meanwhile."""
        found = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
        return found

    def _path(self, fault_id: str) -> Path:
        return self._folder / f"{fault_id}{_SUFFIX}"
