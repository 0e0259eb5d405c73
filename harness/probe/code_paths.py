"""Where the code of this process is: the program's own, the libraries', the harness's."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

# Repeats `stacks.ownership.HARNESS`, so that a target's start does not load that room. In a target it is no
# folder but "<harness>"; see `entry/sitecustomize.py`.
HARNESS = __file__.rpartition("/probe/")[0]
# As it is now: a tool of the program may replace it by a function that raises on a loop.
_cwd = os.getcwd


def application(asked: Sequence[str]) -> tuple[str, ...]:
    """Path prefixes of the program's own code: those of *asked*, which are paths or names of packages.

    By default, the folder of the program's main module, and the working directory.
    """
    if asked:
        return tuple(map(_prefix, asked))
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    places = [_cwd()]
    if main is not None:
        places.insert(0, _folder_of(main))
    return tuple(dict.fromkeys(f"{place}{os.sep}" for place in places))


def not_found(asked: Sequence[str]) -> tuple[str, ...]:
    """Those of *asked* that are neither a path nor a package of this process."""
    return tuple(text for text in asked if not Path(_prefix(text)).exists())


def libraries() -> tuple[str, ...]:
    """Path prefixes of the standard library and of installed packages."""
    try:
        places = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    except ImportError:  # a module of its own, which this user may not be able to read
        installed = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
        places = [str(Path(os.__file__).parent), *installed]
    return tuple(dict.fromkeys(f"{place}{os.sep}" for place in places if place))


def _folder_of(main: str) -> str:
    """The folder of the program's main module, without symbolic links if these may be read."""
    try:
        return str(Path(main).resolve().parent)
    except Exception:  # what a tool of the program raises where a call may block a loop
        return os.path.dirname(os.path.join(_cwd(), main))  # noqa: PTH118, PTH120


def _prefix(text: str) -> str:
    """The prefix of a path or a package (``shop.orders``); *text* need not exist."""
    here = Path(text).resolve()
    folders = [Path(folder, *text.split(".")).resolve() for folder in sys.path if folder]
    modules = [folder.with_name(f"{folder.name}.py") for folder in folders]
    place = next((place for place in (here, *folders, *modules) if place.exists()), here)
    return f"{place}{os.sep}" if place.is_dir() else str(place)
