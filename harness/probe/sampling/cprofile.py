"""Counts and times every call on the threads of loops with cProfile: exact counts, a quarter more CPU time.

cProfile does not know tasks: each step of a coroutine counts as a call, and the time it awaits is not
included.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...record.clock import monotonic_ns
from ...record.observation import ArtefactWritten, Observation
from ...record.run_folder import RunFolder
from ..feature import Feature

if TYPE_CHECKING:
    from ..loop.turns import Turns
    from ..session import ProbeSession


class CProfile(Feature):
    """Profiles each thread that runs a watched loop, and writes one file for all of them at the end."""

    def __init__(self, folder: RunFolder, write: Callable[[Observation], object]) -> None:
        self._folder = folder
        self._write = write
        self._here = threading.local()
        self._profiles: list[cProfile.Profile] = []

    def turns_begin(self, turns: Turns, number: int) -> None:
        """Begin to profile this thread.

        Raises:
            ValueError: Another profiler of this kind is active (from Python 3.12 on).
        """
        if getattr(self._here, "profile", None) is None:
            profile = cProfile.Profile()
            profile.enable()
            self._here.profile = profile
            self._profiles.append(profile)

    def turns_end(self, turns: Turns) -> None:
        self._stop_here()

    def _stop_here(self) -> None:
        profile: cProfile.Profile | None = getattr(self._here, "profile", None)
        if profile is not None:
            self._here.profile = None
            profile.disable()

    abandon = _stop_here

    def close(self) -> None:
        """Write the file, for `pstats`, snakeviz and similar tools."""
        self._stop_here()
        self._write_file()

    def leave(self) -> None:
        # Disabled for the moment: this counts the calls of this thread that are in progress.
        profile: cProfile.Profile | None = getattr(self._here, "profile", None)
        if profile is not None:
            profile.disable()
        self._write_file()
        if profile is not None:
            profile.enable()

    def _write_file(self) -> None:
        if not self._profiles:
            return
        snapshots: list[Any] = [_Snapshot(profile) for profile in self._profiles]
        stats = pstats.Stats(*snapshots)
        path = self._folder.artefacts / f"cprofile-{os.getpid()}.pstat"
        stats.dump_stats(path)
        note = f"process {os.getpid()}: {stats.total_calls:,} calls on the threads of loops"  # type: ignore[attr-defined]
        written = str(path.relative_to(self._folder.path))
        self._write(ArtefactWritten(monotonic_ns(), "cprofile", written, note))


class _Snapshot:
    """The figures of a profile so far, as `pstats.Stats` reads them: it would end the profile itself."""

    def __init__(self, profile: cProfile.Profile) -> None:
        profile.snapshot_stats()
        self.stats = profile.stats

    def create_stats(self) -> None:
        """Do nothing: they are there."""


def create(session: ProbeSession) -> Feature:
    return CProfile(session.folder, session.write)
