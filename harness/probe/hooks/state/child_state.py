"""Finds, in suspended coroutines and in threads, who waits for the end of a child or reads from it."""

from __future__ import annotations

import gc
import sys
from asyncio import SubprocessTransport
from asyncio.subprocess import Process
from typing import Any

from . import reference_state

# Of the file of a pipe that only its `Popen` has: that, the argument of the call below, and the variable.
_OWN_REFERENCES = 3
# What holds data, and is no owner of a child.
_DATA = (type, list, dict, set, tuple)
# Larger dictionaries hold no attributes.
MOST = 200
# What asyncio and `subprocess` call the readers of a child's descriptors.
_NAMES = {1: "stdout", 2: "stderr"}


def waited_pid(link: Any) -> int | None:
    """The pid of the child for whose end the coroutine *link* of asyncio waits; `None` for any other."""
    return getattr(_transport(link), "_pid", None)


def reader(link: Any, descriptor: int) -> Any:
    """The `StreamReader` of the child for which *link* waits, for that descriptor of the child's."""
    protocol = getattr(_transport(link), "_protocol", None)
    return getattr(protocol, _NAMES.get(descriptor, ""), None)


def has_reader(link: Any, reader: Any) -> bool:
    """Whether a variable of the coroutine *link* is that reader."""
    return reader is not None and any(held is reader for held in gc.get_referents(link))


def has_child(link: Any, pid: int) -> bool:
    """Whether a variable of the coroutine *link*, or an attribute of one, is that child's `Process`."""
    held = gc.get_referents(link)
    parts = [
        part for thing in held if not isinstance(thing, _DATA) for part in reference_state.held_by(thing)
    ]
    values = [value for part in parts if type(part) is dict and len(part) <= MOST for value in part.values()]
    return any(type(thing) is Process and thing.pid == pid for thing in (*held, *parts, *values))


def reads(link: Any, descriptor: int) -> bool:
    """Whether the function of the coroutine *link* mentions the child's stdout, or stderr, by name."""
    names = getattr(getattr(link, "cr_code", None), "co_names", ())
    return _NAMES.get(descriptor) in names or "communicate" in names


def wait_code() -> Any:
    """The code of `Popen.wait`; `None` if the program has not imported it."""
    popen = getattr(sys.modules.get("subprocess"), "Popen", None)
    return getattr(getattr(popen, "wait", None), "__code__", None)


def is_read_elsewhere(popen: Any, descriptor: int) -> bool:
    """Whether anyone but the `Popen` itself has the file that reads that descriptor of the child's."""
    file = getattr(popen, _NAMES.get(descriptor, ""), None)
    return file is not None and sys.getrefcount(file) > _OWN_REFERENCES


def _transport(link: Any) -> Any:
    code = getattr(link, "cr_code", None)
    if code is None or code.co_qualname != "BaseSubprocessTransport._wait":
        return None
    found = (held for held in gc.get_referents(link) if issubclass(type(held), SubprocessTransport))
    return next(found, None)
