"""The profilers that record a process from outside, by name: started together, finished together."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import monotonic_ns
from typing import Protocol

from ...errors import UsageError
from ...record.event import ArtefactWritten, Event
from ...record.run_folder import RunFolder
from ..process import examination
from . import tachyon

# Name for `--profiler`: module in this package, and how to install what it runs.
MEMBERS = {
    "pyspy": ("pyspy", "pip install 'asyncio-harness[profile]'"),
    "tachyon": ("tachyon_recording", "use Python 3.15 or later"),
    "strace": ("strace", "install the package strace of the system"),
}


class ExternalRecording(Protocol):
    """One running profiler; a member's ``start(pid, folder, write)`` returns it."""

    def finish(self, *, now: bool = False) -> None: ...


class ExternalProfilers:
    """The profilers of one process. After `finish`, their results are in the record."""

    def __init__(self, names: Iterable[str], folder: RunFolder, write: Callable[[Event], object]) -> None:
        self._names = tuple(names)
        self._folder = folder
        self._write = write
        self._recordings: list[ExternalRecording] = []

    @property
    def is_waiting(self) -> bool:
        """Whether there are profilers that have not been started."""
        return bool(self._names) and not self._recordings

    def attach(self, pid: int) -> None:
        """Start recording process *pid*, which must already run Python."""
        for name in self._names:
            module = importlib.import_module(f".{MEMBERS[name][0]}", __package__)
            self._recordings.append(module.start(pid, self._folder, self._write))

    def finish(self, *, now: bool = False) -> None:
        """Wait for the profilers, which end with the process; *now* stops them."""
        if self.is_waiting:
            for name in self._names:
                self._write(ArtefactWritten(monotonic_ns(), name, "", "nothing to record: no loop ran"))
        for recording in self._recordings:
            recording.finish(now=now)


def check_python(names: Iterable[str], program: str, env: Mapping[str, str]) -> None:
    """Check that the Python that is about to run has these profilers, where its file tells its version.

    Raises:
        UsageError: It does not.
    """
    found = shutil.which(program, path=env.get("PATH"))
    version = examination.version_by_name(str(Path(found).resolve())) if found else None
    if "tachyon" in names and version is not None and version < tachyon.LEAST:
        least, has = (".".join(map(str, numbers)) for numbers in (tachyon.LEAST, version))
        exc = UsageError(f"--profiler tachyon: it needs Python {least} or later, and {program} is {has}")
        exc.add_note("For older Pythons: --profiler pyspy.")
        raise exc


def check(names: Iterable[str], *, of: str = "--profiler") -> None:
    """Check that the profilers *names* can be run, before anything is started; *of* stands before the name.

    Raises:
        UsageError: A profiler is not installed.
    """
    for name in names:
        module_name, remedy = MEMBERS[name]
        if importlib.import_module(f".{module_name}", __package__).program() is None:
            exc = UsageError(f"{of} {name}: it is not installed")
            exc.add_note(f"To get it: {remedy}.")
            raise exc
