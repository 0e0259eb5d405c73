"""Loads the probe into an unmodified program: Python imports this file when it starts.

Only this folder is added to PYTHONPATH, in first place, so nothing else of the harness becomes importable.
The probe is loaded under a private name, so it does not clash with a ``harness`` of the target or with
another version of this one. The ``sitecustomize`` that would have run without the harness still runs.

Every Python that a program starts reads this file, even Python 2, so its syntax is that of all of them.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _enter():  # type: () -> None
    # ORDER is set by `pth_entry.py`, which runs this file where PYTHONPATH is ignored.
    order = globals().get("ORDER") or os.environ.get("HARNESS_PROBE")
    if not order or "_harness_inside" in sys.modules:
        return
    if sys.version_info < (3, 11):
        return
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    package = ModuleType("_harness_inside")
    package.__path__ = [os.path.dirname(os.path.dirname(_HERE))]
    package.__spec__ = ModuleSpec("_harness_inside", None, is_package=True)
    sys.modules["_harness_inside"] = package
    from _harness_inside.probe.process import ProbedProcess

    # "usercustomize" if another program's sitecustomize stands before this one and does not run it.
    ProbedProcess(order, __name__).enter()


def _mark_as_unable(error):  # type: (object) -> None
    """Leave a mark in the run's folder, as `probe/process_marks.py` does."""
    folder = os.environ.get("HARNESS_PROBE", "").partition("\n")[0][len("folder=") :]
    try:
        import time

        mark = open("%s/processes/%d-%x" % (folder, os.getpid(), int(time.time() * 1e9)), "w")  # noqa: SIM115
        mark.write("unable=the probe could not enter: %s\n\n%s" % (repr(error), "\n".join(sys.argv)))
        mark.close()
    except Exception:
        sys.stderr.write("harness: the probe could not enter this process: %r\n" % (error,))


def _run_the_next():  # type: () -> None
    """Import the module of this name that Python would have found without the harness."""
    path = list(sys.path)
    for place, folder in enumerate(sys.path):
        if os.path.abspath(folder or ".") == _HERE:
            # What stands before this folder has had its turn, or is what imports this file.
            path = sys.path[place + 1 :]
            break
    if sys.version_info < (3, 5):
        import imp

        try:
            found = imp.find_module(__name__, path)
        except ImportError:
            return
        imp.load_module(__name__, *found)
        return
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(__name__, path)
    # The next one may itself look for a further one, and find this file again.
    running = sys.__dict__.setdefault("_harness_running", [])
    if spec is None or spec.loader is None or spec.origin in running:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules[__name__] = module
    running.append(spec.origin)
    try:
        spec.loader.exec_module(module)
    finally:
        running.remove(spec.origin)


try:
    _enter()
except (KeyboardInterrupt, SystemExit):
    raise
except BaseException:
    # The target must start even when the probe cannot, and must not notice.
    _mark_as_unable(sys.exc_info()[1])
if "ORDER" not in globals():
    try:
        _run_the_next()
    finally:
        if not sys.__dict__.get("_harness_running"):
            sys.__dict__.pop("_harness_running", None)
