"""What a program may do to the environment and the user with which the next probe has to work."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every Python process of the target loads this file.
    from typing import Any

# Next to the modules of the probe; the only folder of the harness on PYTHONPATH.
ENTRY = os.path.normpath(f"{sys.modules[__name__.partition('.')[0]].__path__[0]}/probe/entry")


def entry_first(path: str) -> str:
    """*path*, a PYTHONPATH, with the harness's folder first if it is in it at all.

    Launchers such as ``opentelemetry-instrument`` and ``ddtrace-run`` put their own folder before it, and
    Python imports the first ``sitecustomize`` alone; ours runs theirs.
    """
    folders = path.split(os.pathsep)
    if ENTRY not in folders:
        return path
    return os.pathsep.join([ENTRY, *(folder for folder in folders if folder != ENTRY)])


def with_entry_first(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of `os.execv` or `os.execve`, such that the next program has the probe, too."""
    if name == "execv":
        path = os.environ.get("PYTHONPATH", "")
        if path and (better := entry_first(path)) != path:
            os.environ["PYTHONPATH"] = better
    elif name == "execve" and len(args) == 3 and isinstance(args[2], (dict, os._Environ)):
        path = args[2].get("PYTHONPATH", "")
        if isinstance(path, str) and path and (better := entry_first(path)) != path:
            return (*args[:2], {**args[2], "PYTHONPATH": better})
    return args


def new_user(args: tuple[Any, ...]) -> int | None:
    """The effective user that `os.setuid` and its kin change to; `None` if they do not change it."""
    uid = args[1] if len(args) > 1 else args[0] if args else None
    return uid if isinstance(uid, int) and uid > 0 else None
