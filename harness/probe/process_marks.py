"""The marks of this process in the run's folder: that the probe is in it, and why no loop may be watched."""

from __future__ import annotations

import os
import sys

from ..record.clock import monotonic_ns
from ..record.process.mark import text
from ..record.redact import learn_variables, redacted_command


class ProcessMarks:
    """Leaves a mark at once, and a further one for what becomes known later; see `record/process/mark.py`."""

    def __init__(self, order: str, entered: str) -> None:
        self.folder = order.partition("\n")[0].removeprefix("folder=")
        # Before anything is written. The whole configuration is parsed when a loop runs.
        _, _, secrets = order.partition("\nsecrets=")
        learn_variables(secrets.partition("\n")[0].split(","))
        self._entered = entered
        self._frameworks: list[str] = []
        self._leave({})

    def forked(self) -> None:
        """Mark this process, a child after `fork`, in which its parent's frameworks live on."""
        self._leave({"fork": "1"})
        for name in self._frameworks:
            self._leave({"framework": name})

    def unable(self, reason: str) -> bool:
        """Note why no loop of this process is watched; false if that could not be written."""
        return self._leave({"unable": reason})

    def framework(self, name: str) -> None:
        """Note that the loop of another framework began to run."""
        if name not in self._frameworks:
            self._frameworks.append(name)
            self._leave({"framework": name})

    def leaving(self) -> None:
        """Tell the runner that this process is about to replace its program."""
        try:
            open(f"{self.folder}/processes/{os.getpid()}-{monotonic_ns():x}-exec", "x").close()
        except OSError:
            pass

    def _leave(self, facts: dict[str, str]) -> bool:
        about = {
            "entered": self._entered,
            "python": sys.version.partition(" ")[0],
            "by": sys.implementation.name,
        }
        try:
            with open(f"{self.folder}/processes/{os.getpid()}-{monotonic_ns():x}", "x") as file:
                file.write(text({**about, **facts}, redacted_command(sys.orig_argv)))
        except OSError:
            return False  # the run's folder is gone, or not for this user
        return True
