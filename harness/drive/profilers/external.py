"""The profilers that look at a process from outside, by name: attached together, finished together."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from time import monotonic_ns
from typing import Protocol

from ...errors import UsageError
from ...record.event import ArtefactWritten, Event
from ...record.run import RunFolder

# By the name for `--profiler`: the module in this package, and how to get what it needs.
MEMBERS = {
    "pyspy": ("pyspy", "pip install 'asyncio-harness[profile]'"),
    "strace": ("strace", "install the package strace of the system"),
}


class ExternalRecording(Protocol):
    """One profiler at work on one process."""

    def finish(self, *, now: bool = False) -> None: ...


class ExternalProfilers:
    """What looks at a process. After `finish`, everything that was seen is in the record."""

    def __init__(self, names: Iterable[str], folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._names = tuple(names)
        self._folder = folder
        self._write = write
        self._recordings: list[ExternalRecording] = []

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to attach, and it is not."""
        return bool(self._names) and not self._recordings

    def attach(self, pid: int) -> None:
        """Look at process *pid* from now on; it runs Python by now."""
        for name in self._names:
            module = importlib.import_module(f".{MEMBERS[name][0]}", __package__)
            self._recordings.append(module.Recording(pid, self._folder, self._write))

    def finish(self, *, now: bool = False) -> None:
        """Wait for them: they end with the process, or *now*."""
        if self.is_waiting:
            for name in self._names:
                self._write(ArtefactWritten(monotonic_ns(), name, "", "nothing to look at: no loop ran"))
        for recording in self._recordings:
            recording.finish(now=now)


def check(names: Iterable[str]) -> None:
    """Make sure that the profilers *names* are there, before anything is started.

    Raises:
        UsageError: One of them is not installed.
    """
    for name in names:
        module_name, remedy = MEMBERS[name]
        if importlib.import_module(f".{module_name}", __package__).program() is None:
            exc = UsageError(f"--profiler {name}: it is not installed")
            exc.add_note(f"To get it: {remedy}.")
            raise exc
