"""A second chance for the probe, where another program's ``sitecustomize`` stands before the harness's.

Python imports this file after that one, except in most virtual environments, which do without it. What it
does is the same, and the environment's own ``usercustomize`` still runs.
"""

import os
import sys

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sitecustomize.py")

if sys.version_info < (3, 5):
    with open(_PATH) as _file:
        exec(compile(_file.read(), _PATH, "exec"))
else:
    from importlib.machinery import SourceFileLoader

    # Its compiled form, which has been read a moment ago.
    exec(SourceFileLoader("sitecustomize", _PATH).get_code("sitecustomize"))  # type: ignore[arg-type]
