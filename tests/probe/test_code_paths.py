"""Where the code of a process is."""

from __future__ import annotations

import os
import sysconfig

from harness.probe import code_paths


def test_the_libraries_are_where_python_says() -> None:
    """The folders of the standard library and of installed packages."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    places = dict.fromkeys(sysconfig.get_path(name) + os.sep for name in names)

    assert code_paths.libraries() == tuple(places)
