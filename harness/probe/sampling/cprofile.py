"""Counts and times every call on the threads of loops with cProfile: exact counts, a quarter more CPU time.

It knows nothing of tasks: what a coroutine awaits is not its own time, and each step of it counts as a call.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable

from ...record.clock import monotonic_ns
from ...record.observation import ArtefactWritten, Observation
from ...record.run import RunFolder


class CProfile:
    """A profile of each thread that runs a loop, and all of them together in one file at the end."""

    def __init__(self, folder: RunFolder, write: Callable[[Observation], object]) -> None:
        self._folder = folder
        self._write = write
        self._here = threading.local()
        self._profiles: list[cProfile.Profile] = []

    def changed(self, loop: AbstractEventLoop | None) -> None:
        """*loop* begins to run in this thread, or `None`: the one that ran has stopped.

        Raises:
            ValueError: Another profiler of that kind is at work (from 3.12 on).
        """
        profile: cProfile.Profile | None = getattr(self._here, "profile", None)
        if loop is None and profile is not None:
            self._here.profile = None
            profile.disable()
        elif loop is not None and profile is None:
            profile = cProfile.Profile()
            profile.enable()
            self._here.profile = profile
            self._profiles.append(profile)

    def close(self) -> None:
        """Leave the file: for `pstats`, snakeviz and their like."""
        self.changed(None)
        if not self._profiles:
            return
        stats = pstats.Stats(*self._profiles)
        path = self._folder.artefacts / f"cprofile-{os.getpid()}.pstat"
        stats.dump_stats(path)
        note = f"process {os.getpid()}: {stats.total_calls:,} calls on the threads of loops"  # type: ignore[attr-defined]
        self._write(
            ArtefactWritten(monotonic_ns(), "cprofile", str(path.relative_to(self._folder.path)), note)
        )
