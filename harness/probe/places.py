"""Which files are the program's own, and which are libraries: the record keeps it, readers blame by it."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path


def application() -> tuple[str, ...]:
    """Path prefixes of the program's own code: where its main module lies, and the working directory."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    places = [Path.cwd()]
    if main is not None:
        places.insert(0, Path(main).resolve().parent)
    return tuple(dict.fromkeys(f"{place}{os.sep}" for place in places))


def libraries() -> tuple[str, ...]:
    """Path prefixes of the standard library and of what is installed."""
    places = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(dict.fromkeys(f"{place}{os.sep}" for place in places if place))
