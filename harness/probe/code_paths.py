"""Where the code of this process is: the program's own, the libraries', the harness's."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence

# Repeats `stacks.ownership.HARNESS`, so that a target's start does not load that room. In a target it is no
# folder but "<harness>"; see `entry/sitecustomize.py`.
HARNESS = __file__.rpartition("/probe/")[0]
# What the schemes of `sysconfig` are made of.
_PREFIXES = {
    "base": sys.prefix,
    "platbase": sys.exec_prefix,
    "installed_base": sys.base_prefix,
    "installed_platbase": sys.base_exec_prefix,
    "py_version_short": sysconfig.get_python_version(),
    "platlibdir": sys.platlibdir,
    "implementation_lower": sys.implementation.name.removeprefix("c"),  # of CPython
    "abi_thread": "t" if "t" in sys.abiflags else "",
}
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
    return tuple(text for text in asked if not os.path.exists(_prefix(text)))  # noqa: PTH110


def libraries() -> tuple[str, ...]:
    """Path prefixes of the standard library and of installed packages."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    try:
        # As `sysconfig.get_path` does, which first reads all that Python was configured with.
        templates = sysconfig.get_paths(expand=False)
        places = [os.path.normpath(templates[name].format(**_PREFIXES)) for name in names]
    except KeyError:  # a distributor's own scheme
        installed = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
        places = [os.path.dirname(os.__file__), *installed]  # noqa: PTH120
    return tuple(dict.fromkeys(f"{place}{os.sep}" for place in places if place))


def _folder_of(main: str) -> str:
    """The folder of the program's main module, without symbolic links if these may be read."""
    try:
        return os.path.dirname(os.path.realpath(main))  # noqa: PTH120
    except Exception:  # what a tool of the program raises where a call may block a loop
        return os.path.dirname(os.path.join(_cwd(), main))  # noqa: PTH118, PTH120


def _prefix(text: str) -> str:
    """The prefix of a path or a package (``shop.orders``); *text* need not exist."""
    from pathlib import Path

    here = Path(text).resolve()
    folders = [Path(folder, *text.split(".")).resolve() for folder in sys.path if folder]
    modules = [folder.with_name(f"{folder.name}.py") for folder in folders]
    place = next((place for place in (here, *folders, *modules) if place.exists()), here)
    return f"{place}{os.sep}" if place.is_dir() else str(place)
