"""Lets the probe into a program of an environment that ``harness enable`` has prepared.

The line in ``site-packages`` runs this file, which stands alone, only while a run asks: there is an order in
the environment, or an invitation for this user. So the probe comes in where Python ignores PYTHONPATH, as by
``-E`` and ``-I``, and where the environment was replaced.
"""

import os
import sys
from importlib.machinery import SourceFileLoader


def _run(path: str, names: dict[str, object]) -> None:
    code = SourceFileLoader(str(names["__name__"]), path).get_code(str(names["__name__"]))
    if code is not None:
        exec(code, names)


def _enter() -> None:
    if "_harness_inside" in sys.modules:
        return
    order = os.environ.get("HARNESS_PROBE", "")
    if not order:
        names: dict[str, object] = {"__name__": "_harness_invitation"}
        _run(f"{_ROOT}/record/process/invitation.py", names)
        find = names["find"]
        assert callable(find)
        order = find()
    if order:
        path = f"{_ROOT}/probe/entry/sitecustomize.py"
        _run(path, {"__name__": "pth", "__file__": path, "ORDER": order})


_ROOT = __file__.rpartition("/probe/")[0]
try:
    _enter()
except Exception as exc:
    # The target must start even when the probe cannot.
    sys.stderr.write(f"harness: the probe could not enter this process: {exc!r}\n")
