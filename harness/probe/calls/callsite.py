"""Who made a call on the thread of a running loop: the function, its line, and the task's coroutine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent import futures
from functools import lru_cache
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

from .. import code_paths

# The functions of asyncio that run callbacks: what called them is not part of the turn. Under uvloop only
# the runner is seen, the rest is C.
_DRIVERS = ("_run", "run_forever", "run_until_complete", "run")

# Frames until Python 3.12 made them part of the function they stand in; a name must not depend on that.
_COMPREHENSIONS = ("<listcomp>", "<dictcomp>", "<setcomp>")

_APPLICATION, _OTHER, _LIBRARY, _MACHINERY = range(4)


class Territory:
    """Whose code a file is, by where the program and its libraries lie."""

    def __init__(self, application: Sequence[str] = ()) -> None:
        """*application* names what is the program's own code, if that is not to be found out."""
        here = Path(__file__).parents[1]
        runs_loops = (Path(module.__file__ or "").parent for module in (asyncio, futures))
        machinery = (here, here.with_name("record"), *runs_loops)
        self._machinery = tuple(f"{folder}{os.sep}" for folder in machinery)
        self._application = code_paths.application(application)
        self._libraries = code_paths.libraries()
        self._whose = lru_cache(maxsize=4096)(self._find_out)

    def site(self, frame: FrameType | None) -> FrameType | None:
        """The frame that a call is counted for which *frame* made; `None`: it is not the program's doing.

        That is the innermost of the program's own code within the turn; else the innermost that is not a
        library's; else *frame* itself. What asyncio, its executors and the probe call for themselves is
        nobody's.
        """
        if frame is None or self._whose(frame.f_code.co_filename) == _MACHINERY:
            return None
        other: FrameType | None = None
        here: FrameType | None = frame
        while here is not None:
            whose = self._whose(here.f_code.co_filename)
            if whose == _APPLICATION and here.f_code.co_name not in _COMPREHENSIONS:
                return here
            if whose == _MACHINERY and here.f_code.co_name in _DRIVERS:
                break
            if whose == _OTHER and other is None:
                other = here
            here = here.f_back
        return other or frame

    def _find_out(self, file: str) -> int:
        if file.startswith(self._machinery):
            return _MACHINERY
        application, library = _depth(file, self._application), _depth(file, self._libraries)
        # The more specific one: a virtual environment inside of the program's folder is none of its code.
        if application > library:
            return _APPLICATION
        return _LIBRARY if library or file.startswith("<frozen ") else _OTHER


def name_of(frame: FrameType) -> str:
    """The function of *frame* as ``module:qualified.name``."""
    return f"{frame.f_globals.get('__name__', '')}:{frame.f_code.co_qualname}"


def running_coroutine() -> object:
    """What the task runs that is running in this thread; `None` in a plain callback."""
    task = asyncio.current_task()
    return task.get_coro() if task is not None else None


def name_of_coroutine(coroutine: Any) -> str:
    """The same for what a task runs; without its module when it is not written in Python."""
    if isinstance(coroutine, CoroutineType) and coroutine.cr_frame is not None:
        return name_of(coroutine.cr_frame)
    return getattr(coroutine, "__qualname__", "")


def _depth(file: str, prefixes: tuple[str, ...]) -> int:
    return max((len(prefix) for prefix in prefixes if file.startswith(prefix)), default=0)
