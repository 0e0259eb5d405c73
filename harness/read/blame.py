"""Which frame of a blocked stack to blame, and whose code it is.

The program's own code comes first, because there the fix is written; then what is neither the program's nor
a library's; then whatever there is. What lies outside the turn (the code that started the loop) and the
probe's own frames are never blamed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import PurePath

from ..record.event import Frame

# Frames of asyncio that drive a turn; a callback's own code lies inside the innermost of them. Under uvloop
# only the runner is seen, the rest is C.
_LOOP = {
    "base_events.py": (
        "BaseEventLoop.run_forever",
        "BaseEventLoop.run_until_complete",
        "BaseEventLoop._run_once",
    ),
    "events.py": ("Handle._run",),
    "runners.py": ("Runner.run", "run"),
}
# The import system; `importlib.import_module` is a part of it that is not frozen.
_IMPORT, _IMPORTLIB = "<frozen importlib", ("importlib", "__init__.py")
# Where packages are installed; the standard library's folder often lies around it.
_INSTALLED = ("site-packages", "dist-packages")
_OWN = (("harness", "probe"), ("harness", "console"), ("harness", "record"))
_COMPREHENSIONS = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")


@dataclass(frozen=True, slots=True)
class Territory:
    """Whose code a file is, by the path prefixes that its process gave."""

    application: tuple[str, ...]
    libraries: tuple[str, ...]

    def is_application(self, frame: Frame) -> bool:
        """The program's own code; the more specific prefix wins: a virtual environment inside stays out."""
        if _is_probe(frame.file):
            return False
        return _depth(frame.file, self.application) > _depth(frame.file, self.libraries)

    def is_library(self, frame: Frame) -> bool:
        """The standard library, an installed package, or the import system."""
        if frame.file.startswith("<frozen "):
            return True
        return _depth(frame.file, self.libraries) >= 0 and not self.is_application(frame)

    def is_installed(self, frame: Frame) -> bool:
        """A library, and not the standard one."""
        return self.is_library(frame) and any(part in _INSTALLED for part in PurePath(frame.file).parts)

    def short(self, file: str) -> str:
        """*file* as people call it: as it is imported, or below the outermost of the program's folders.

        A program that is an installed package itself (``python -m uvicorn``) is named as one.
        """
        folder = max(_holding(file, self.libraries), key=len, default="")
        if not folder:
            folder = min(filter(None, _holding(file, self.application)), key=len, default="")
        return file.removeprefix(folder + "/") if folder else file


def folded(stack: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The stack with comprehensions as part of the function they stand in, as Python 3.12 began to do itself.

    The function keeps its name and gets the line inside of the comprehension.
    """
    frames: list[Frame] = []
    for frame in stack:
        function = frame.function
        while function.endswith(_COMPREHENSIONS):
            function = function.rpartition(".<locals>.")[0] or "<module>"
        inside = frame._replace(function=function)
        if frames and inside != frame and frames[-1]._replace(line=frame.line) == inside:
            frames[-1] = inside
        else:
            frames.append(frame)
    return tuple(frames)


def own_frames(stack: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The frames that belong to the turn: without those that run the loop, and without the probe's."""
    start = 0
    for index, frame in enumerate(stack):
        if frame.function in _drivers(frame.file):
            start = index + 1
    return tuple(frame for frame in stack[start:] if not _is_probe(frame.file))


def candidates(stack: tuple[Frame, ...], territory: Territory) -> tuple[Frame, ...]:
    """The frames of a stack that may be blamed, outermost first; the last one is the frame to blame.

    An import is blamed on the code that asked for it, and not on the module that is slow to load, nor on the
    import system.
    """
    inside = own_frames(stack)
    before = inside[: _first_import(inside)]
    for frames in (before, inside):
        if own := tuple(filter(territory.is_application, frames)):
            return own
    if neither := tuple(frame for frame in before if not territory.is_library(frame)):
        return neither
    return before or inside or tuple(frame for frame in stack if not _is_probe(frame.file))[-1:] or stack[-1:]


def imports(stack: tuple[Frame, ...]) -> bool:
    """Whether the turn was inside an import statement."""
    inside = own_frames(stack)
    return _first_import(inside) < len(inside)


def imported(stack: tuple[Frame, ...], territory: Territory) -> str:
    """The module whose import was going on, as ``anyio.abc``; "" when its code had not begun."""
    inside = own_frames(stack)
    bodies = (frame for frame in inside[_first_import(inside) :] if frame.function == "<module>")
    return next((_dotted(frame, territory) for frame in bodies), "")


def leaf(stack: tuple[Frame, ...], blamed: Frame, territory: Territory) -> str:
    """The library call at the inner end of the stack, as ``socket.create_connection``; "" for none."""
    inside = own_frames(stack)
    if not inside or inside[-1] == blamed or not territory.is_library(inside[-1]):
        return ""
    return f"{_module(inside[-1])}.{inside[-1].function}"


def library(stack: tuple[Frame, ...], blamed: Frame, territory: Territory) -> str:
    """The innermost frame of an installed package, as ``Request.host (aiohttp/web_request.py:438)``.

    Below the program's own code, if there is any: what stands above it is the framework that called the
    program. "" for none, and for the blamed frame itself.
    """
    inside = own_frames(stack)
    start = next((i for i, frame in enumerate(inside) if territory.is_application(frame)), 0)
    found = next(filter(territory.is_installed, reversed(inside[start:])), blamed)
    return "" if found == blamed else f"{found.function} ({territory.short(found.file)}:{found.line})"


def _first_import(frames: tuple[Frame, ...]) -> int:
    return next((i for i, frame in enumerate(frames) if _is_import(frame.file)), len(frames))


def _module(frame: Frame) -> str:
    path = PurePath(frame.file)
    return path.parent.name if path.stem == "__init__" else path.stem


def _dotted(frame: Frame, territory: Territory) -> str:
    path = PurePath(territory.short(frame.file)).with_suffix("")
    if path.is_absolute():
        return _module(frame)  # of no folder that is known to be imported from
    return ".".join(path.parts[:-1] if path.name == "__init__" else path.parts)


def _holding(file: str, prefixes: Iterable[str]) -> list[str]:
    """Those of *prefixes* that are *file* or a folder above it, without a slash at their end."""
    bare = (prefix.rstrip("/") for prefix in prefixes)
    return [prefix for prefix in bare if file == prefix or file.startswith(prefix + "/")]


@cache
def _is_import(file: str) -> bool:
    return file.startswith(_IMPORT) or PurePath(file).parts[-2:] == _IMPORTLIB


# Cached, as the next ones: a record repeats a few hundred files in millions of frames.
@cache
def _depth(file: str, prefixes: tuple[str, ...]) -> int:
    """The length of the longest of *prefixes* that holds *file*, -1 for none."""
    return max(map(len, _holding(file, prefixes)), default=-1)


@cache
def _drivers(file: str) -> tuple[str, ...]:
    """The functions of *file* that run a loop's callbacks."""
    path = PurePath(file)
    return _LOOP.get(path.name, ()) if path.parent.name == "asyncio" else ()


@cache
def _is_probe(file: str) -> bool:
    return any(pair in _OWN for pair in pairwise(PurePath(file).parts))
