"""Finds the code that made a call on a running loop's thread: function, line, and the task's coroutine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any, NamedTuple

from ...stacks.ownership import CodeOwnership, Owner
from ...stacks.turn_stack import blamable, drivers_in, enclosing
from .. import code_paths

# Most files cached. At this number the cache is cleared, so that generated files cannot fill the memory.
FILES = 4096


class _File(NamedTuple):
    owner: Owner
    drivers: tuple[str, ...]  # the functions in it that run a loop's callbacks
    runs_loops: bool  # it is part of asyncio or of its executors


class CallSite:
    """Finds the frame that a call is counted for, by the rules that a report blames a line by."""

    def __init__(self, application: Sequence[str] = ()) -> None:
        """*application* names the program's own code; by default it is detected."""
        self._ownership = CodeOwnership(code_paths.application(application), code_paths.libraries())
        folders = (Path(module.__file__ or "").parent for module in (asyncio, futures))
        self._runs_loops = tuple(f"{folder}{os.sep}" for folder in folders)
        self._files: dict[str, _File] = {}

    def find(self, frame: FrameType | None) -> FrameType | None:
        """The frame to count a call of *frame* for; `None` if asyncio, an executor or the probe calls."""
        if frame is None:
            return None
        caller = self._file(frame.f_code.co_filename)
        if caller.runs_loops or caller.owner is Owner.HARNESS:
            return None
        turn: list[FrameType] = []
        owners: list[Owner] = []
        here: FrameType | None = frame
        while here is not None:
            file = self._file(here.f_code.co_filename)
            if file.drivers and here.f_code.co_name in file.drivers:
                break
            if file.owner is not Owner.HARNESS:
                turn.append(here)
                owners.append(file.owner)
            here = here.f_back
        turn.reverse()
        owners.reverse()
        return turn[blamable(owners)[-1]]

    def _file(self, name: str) -> _File:
        if (known := self._files.get(name)) is None:
            if len(self._files) >= FILES:
                self._files.clear()
            runs_loops = name.startswith(self._runs_loops)
            known = self._files[name] = _File(self._ownership.owner(name), drivers_in(name), runs_loops)
        return known


def name_of(frame: FrameType) -> str:
    """The function of *frame* as ``module:qualified.name``; of a comprehension, the one around it."""
    return f"{frame.f_globals.get('__name__', '')}:{enclosing(frame.f_code.co_qualname)}"


def running_coroutine() -> object:
    """The coroutine of this thread's current task; `None` in a plain callback."""
    task = asyncio.current_task()
    return task.get_coro() if task is not None else None


def name_of_coroutine(coroutine: Any) -> str:
    """The coroutine's function as ``module:qualified.name``; without the module if not written in Python."""
    if isinstance(coroutine, CoroutineType) and coroutine.cr_frame is not None:
        return name_of(coroutine.cr_frame)
    return getattr(coroutine, "__qualname__", "")
