"""Loads the probe into an unmodified program: Python imports this file when it starts.

Only this folder is added to PYTHONPATH, in first place, so nothing else of the harness becomes importable.
The probe is loaded under a private name, so it does not clash with a ``harness`` of the target or with
another version of this one. The environment's own ``sitecustomize`` still runs.
"""

import os
import sys


def _enter() -> None:
    order = os.environ.get("HARNESS_PROBE")
    if not order or "_harness_inside" in sys.modules:
        return
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    package = ModuleType("_harness_inside")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]
    package.__spec__ = ModuleSpec("_harness_inside", None, is_package=True)
    sys.modules["_harness_inside"] = package
    from _harness_inside.probe.process import ProbedProcess

    ProbedProcess(order).enter()


def _run_the_environments_own() -> None:
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if os.path.abspath(p or ".") != here])
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _enter()
except Exception as exc:
    # The target must start even when the probe cannot.
    sys.stderr.write(f"harness: the probe could not enter this process: {exc!r}\n")
_run_the_environments_own()
