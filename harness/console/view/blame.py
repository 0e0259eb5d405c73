"""Which frame of a stack to name, and how to call its place: as the report does (`read/blame.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePath

from ...record.observation import Frame

# The functions of asyncio inside of which a turn's own code lies.
_DRIVERS = {
    "base_events.py": ("BaseEventLoop.run_forever", "BaseEventLoop.run_until_complete"),
    "events.py": ("Handle._run",),
    "runners.py": ("Runner.run", "run"),
}
_IMPORT = "<frozen importlib"
_PROBE = tuple(f"{Path(__file__).parents[2] / room}/" for room in ("probe", "console", "record"))


class Territory:
    """Whose code a file is, by the path prefixes of the program's own code and of the libraries."""

    def __init__(self, application: tuple[str, ...], libraries: tuple[str, ...]) -> None:
        self._application = application
        self._libraries = libraries
        self._whose = lru_cache(maxsize=4096)(self._find_out)

    def blamed(self, stack: Sequence[Frame]) -> Frame | None:
        """The innermost frame of the program's own code; else of nobody's library; else the innermost.

        *stack* has the outermost frame first. `None` for an empty one.
        """
        inside = without_probe(turn(stack))
        asked = next((i for i, frame in enumerate(inside) if frame.file.startswith(_IMPORT)), len(inside))
        for frames in (inside[:asked], inside):
            if own := next((f for f in reversed(frames) if self._whose(f.file) == "application"), None):
                return own
        neither = (frame for frame in reversed(inside[:asked]) if self._whose(frame.file) != "library")
        return next(neither, None) or next(reversed(inside), None) or next(reversed(stack), None)

    def is_application(self, frame: Frame) -> bool:
        """Whether it is the program's own code."""
        return self._whose(frame.file) == "application"

    def short(self, file: str) -> str:
        """*file* as it is imported, or below the outermost of the program's folders."""
        folder = max(_holding(file, self._libraries), key=len, default="")
        if not folder:
            folder = min(_holding(file, self._application), key=len, default="")
        return file.removeprefix(folder).lstrip("/") if folder else file

    def place(self, frame: Frame | None) -> str:
        """``FILE:LINE function``, "" for none."""
        return f"{self.short(frame.file)}:{frame.line} {frame.function}" if frame is not None else ""

    def _find_out(self, file: str) -> str:
        application, library = (_depth(file, places) for places in (self._application, self._libraries))
        # The more specific one: a virtual environment inside of the program's folder is none of its code.
        if application > library:
            return "application"
        return "library" if library or file.startswith("<frozen ") else "other"


def without_probe(stack: Sequence[Frame]) -> Sequence[Frame]:
    """*stack* as it would be without the probe."""
    return [frame for frame in stack if not frame.file.startswith(_PROBE)]


def turn(stack: Sequence[Frame]) -> Sequence[Frame]:
    """The part of a loop thread's stack that belongs to the running callback."""
    for index in range(len(stack) - 1, -1, -1):
        path = PurePath(stack[index].file)
        if path.parent.name == "asyncio" and stack[index].function in _DRIVERS.get(path.name, ()):
            return stack[index + 1 :]
    return stack


def _holding(file: str, prefixes: tuple[str, ...]) -> list[str]:
    return [prefix for prefix in prefixes if file.startswith(prefix)]


def _depth(file: str, prefixes: tuple[str, ...]) -> int:
    return max(map(len, _holding(file, prefixes)), default=0)
