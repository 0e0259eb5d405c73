"""Whose code a file is: the program's, a library's, Python's own, or the harness's.

Used wherever a line is named: in the report, the console, `--calls` and the view from outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache
from pathlib import PurePath

from ..record.observation import Frame

# The folder of this harness; in a target, the one that the probe was loaded from.
HARNESS = __file__.rpartition("/stacks/")[0]
# Stands for that folder in a target; see `probe/entry/sitecustomize.py`.
INSIDE = "<harness>"
# The rooms whose code runs inside a target beside the program's own. `mayhem/` is a program like any other.
_ROOMS = ("probe", "console", "record", "stacks")

# Where packages are installed, often inside the standard library's folder.
_INSTALLED = ("site-packages", "dist-packages")
# `importlib.import_module` is the part of the import system that is not frozen.
_IMPORT, _IMPORTLIB = "<frozen importlib", ("importlib", "__init__.py")


class Owner(Enum):
    """Who a frame's code belongs to."""

    APPLICATION = auto()
    LIBRARY = auto()  # an installed package
    PYTHON = auto()  # the standard library, and what is frozen into the interpreter
    IMPORT = auto()  # the import system, a part of Python
    HARNESS = auto()
    OTHER = auto()  # none of these: generated code, or a file outside every known folder


@dataclass(frozen=True, slots=True)
class CodeOwnership:
    """Whose code a file is, by the path prefixes that its process reported.

    Without *libraries*, as for a process that had no probe, installed packages and the standard library are
    recognised by the names of their folders.
    """

    application: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    harness: str = HARNESS  # the folder of the harness that the process loaded

    def owner(self, file: str) -> Owner:
        """The owner of the code in *file*."""
        return _owner(file, self)

    def is_application(self, frame: Frame) -> bool:
        """Whether it is the program's own code."""
        return _owner(frame.file, self) is Owner.APPLICATION

    def is_library(self, frame: Frame) -> bool:
        """Whether it is an installed package, the standard library, or the import system."""
        return _owner(frame.file, self) in (Owner.LIBRARY, Owner.PYTHON, Owner.IMPORT)

    def is_installed(self, frame: Frame) -> bool:
        """Whether it is a library other than the standard one."""
        return _owner(frame.file, self) is Owner.LIBRARY

    def is_harness(self, frame: Frame) -> bool:
        """Whether it is code that the harness runs inside a target."""
        return _owner(frame.file, self) is Owner.HARNESS

    def short(self, file: str) -> str:
        """*file* as it is imported, or below the outermost of the program's folders.

        A program that is an installed package itself (``python -m uvicorn``) is named as one.
        """
        folder = max(_holding(file, self.libraries), key=len, default="")
        if not folder:
            folder = min(filter(None, _holding(file, self.application)), key=len, default="")
        return file.removeprefix(folder + "/") if folder else file

    def place(self, frame: Frame | None) -> str:
        """``FILE:LINE FUNCTION``, with the file's short name; "" for no frame."""
        return f"{self.short(frame.file)}:{frame.line} {frame.function}" if frame is not None else ""


# Cached, because a record repeats a few hundred files in millions of frames; bounded, because this also runs
# in targets.
@lru_cache(maxsize=8192)
def _owner(file: str, ownership: CodeOwnership) -> Owner:
    if file.startswith(_harness_folders(ownership.harness)):
        return Owner.HARNESS
    path = PurePath(file)
    if file.startswith(_IMPORT) or path.parts[-2:] == _IMPORTLIB:
        return Owner.IMPORT
    application, library = _depth(file, ownership.application), _depth(file, ownership.libraries)
    # The more specific prefix wins: a virtual environment inside the program's folder is not its code.
    if application > library:
        return Owner.APPLICATION
    installed = any(part in _INSTALLED for part in path.parts)
    if file.startswith("<frozen "):
        return Owner.PYTHON
    if library >= 0 or (not ownership.libraries and (installed or _is_standard_library(path))):
        return Owner.LIBRARY if installed else Owner.PYTHON
    return Owner.OTHER


@cache
def _harness_folders(root: str) -> tuple[str, ...]:
    return tuple(f"{place}/{room}/" for place in (root, INSIDE) for room in _ROOMS)


def _is_standard_library(path: PurePath) -> bool:
    """Judge by the folder that every CPython on POSIX has, as in ``/usr/lib/python3.12/socket.py``."""
    return any(part.startswith("python3.") for part in path.parts[:-1])


def _holding(file: str, prefixes: Iterable[str]) -> list[str]:
    """Those of *prefixes* that are *file* or a folder above it, without a slash at their end."""
    bare = (prefix.rstrip("/") for prefix in prefixes)
    return [prefix for prefix in bare if file == prefix or file.startswith(prefix + "/")]


def _depth(file: str, prefixes: tuple[str, ...]) -> int:
    """The length of the longest of *prefixes* that holds *file*, -1 for none."""
    return max(map(len, _holding(file, prefixes)), default=-1)
