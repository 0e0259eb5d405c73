"""Looks at a process without a probe, so that a report can say why there is none and what that may cost.

Everything is read from `/proc`; the process is neither stopped nor asked. Of its environment only names are
kept, since the values may be secrets.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from time import monotonic_ns

from ...record.event import ProcessExamined, ProcessFound
from ...record.probe_config import VARIABLE
from . import proc
from .probe_env import ENTRY

_EXECUTABLE = re.compile(r"(?:python|pypy|graalpy)(\d[\d.]*)?t?(?:-dbg|d)?")
_LIBRARY = re.compile(r"libpython(\d\.\d+)")
_VERSIONED = re.compile(r"/python(\d\.\d+)t?/")
# Compiled modules that a program with an event loop has in its memory. `_ssl` is no sign of one.
_MODULES = re.compile(r"/(?:(_asyncio)\.[^/]*so|(uvloop|rloop|gevent)/(?:[^/]*/)*[^/]*\.so)$")
# Set by launchers that start a Python in an environment of their own making.
_CLUES = ("TOX_ENV_NAME", "NOX_CURRENT_SESSION", "PEX", "PEX_ROOT", "_PEX_UNVENDORED", "_MEIPASS2")
_CLUE_PREFIXES = ("_PYI_", "__PEX", "PYTHONNOUSERSITE")
_MEI = "/_MEI"
# Descriptors beyond this number are not looked at.
_DESCRIPTORS = 64


def examine(found: ProcessFound, mark: str, barred: str) -> ProcessExamined | None:
    """What can be seen of a process now; `None` if it is no Python, or has ended.

    Args:
        found: The process.
        mark: The first line of the run's order, ``folder=...``.
        barred: A path that its user may not use, "" for none.
    """
    maps = proc.mapped_files(found.pid)
    if not maps:
        return None
    version, embedded = _python(found.executable, maps)
    mapped = tuple(
        sorted({name for path in maps if (m := _MODULES.search(path)) for name in m.groups() if name})
    )
    if not version and not mapped:
        return None
    environ = proc.environ(found.pid)
    return ProcessExamined(
        at_ns=monotonic_ns(),
        pid=found.pid,
        began_ns=found.began_ns,
        python=version or "3",
        embedded=embedded,
        order=_order(environ, mark),
        path=_position(environ),
        clues=_clues(environ or {}, maps),
        mapped=mapped,
        shows_asyncio=_shows_asyncio(found.executable, version, maps),
        polls=_polls(found.pid),
        barred=barred,
    )


def python_of(pid: int) -> tuple[str, bool]:
    """The version of the Python in a process, "" for none; and whether it is inside another program."""
    return _python(proc.executable(pid), proc.mapped_files(pid))


def is_python(executable: str) -> bool:
    """Whether the file is an interpreter, by its name."""
    return _EXECUTABLE.fullmatch(Path(executable).name) is not None


def version_by_name(executable: str) -> tuple[int, int] | None:
    """The version of an interpreter by the name of its file; `None` if that does not tell."""
    named = _EXECUTABLE.fullmatch(Path(executable).name)
    numbers = (named[1] or "").split(".") if named is not None else []
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else None


def version_of(pid: int) -> tuple[int, int] | None:
    """The version of the Python in process *pid*, by its files; `None` if it is none, or has ended."""
    version, _ = python_of(pid)
    numbers = version.split(".")
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else None


def _python(executable: str, maps: tuple[str, ...]) -> tuple[str, bool]:
    """The version of the Python in it, "" for none; and whether it is inside another program."""
    named = _EXECUTABLE.fullmatch(Path(executable).name)
    from_files = next((m[1] for path in maps if (m := _LIBRARY.search(path) or _VERSIONED.search(path))), "")
    if named is not None:
        version = (named[1] or "").rstrip(".")
        return (version if "." in version else from_files or version or "3"), False
    linked = next((m[1] for path in maps if (m := _LIBRARY.search(path))), "")
    return linked, bool(linked)


def _order(environ: dict[str, str] | None, mark: str) -> str:
    if environ is None:
        return "unreadable"
    if VARIABLE not in environ:
        return "missing"
    return "here" if environ[VARIABLE].partition("\n")[0] == mark else "another"


def _position(environ: dict[str, str] | None) -> str:
    if environ is None:
        return ""
    path = environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(ENTRY) not in path:
        return "missing"
    return "first" if path[0] == str(ENTRY) else "later"


def _clues(environ: dict[str, str], maps: tuple[str, ...]) -> tuple[str, ...]:
    found = [name for name in environ if name in _CLUES or name.startswith(_CLUE_PREFIXES)]
    return tuple(sorted(found)) + (("_MEI",) if any(_MEI in path for path in maps) else ())


def _shows_asyncio(executable: str, version: str, maps: tuple[str, ...]) -> bool:
    """Whether `_asyncio` would stand among the mapped files if this Python had imported it.

    Some builds, such as Debian's of Python 3.15, have it in the interpreter itself, where it cannot be seen.
    There a file of `_ssl` that is not mapped tells the same: asyncio imports it.
    """
    folders = [Path(path).parent for path in maps if "/lib-dynload/" in path]
    folders.append(Path(executable).parent.parent / f"lib/python{version}/lib-dynload")
    files = {path.name.partition(".")[0] for folder in folders for path in folder.glob("_[as]*.so")}
    return "_asyncio" in files or ("_ssl" in files and not any("/_ssl." in path for path in maps))


def _polls(pid: int) -> bool:
    return any(link == "anon_inode:[eventpoll]" for link in proc.descriptors(pid, _DESCRIPTORS))
