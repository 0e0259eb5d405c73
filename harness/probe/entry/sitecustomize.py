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
    from time import thread_time_ns

    began_ns = thread_time_ns()
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    package = ModuleType("_harness_inside")
    package.__path__ = [_place_without_files(os.path.dirname(os.path.dirname(_HERE)))]
    package.__spec__ = ModuleSpec("_harness_inside", None, is_package=True)
    sys.modules["_harness_inside"] = package
    from _harness_inside.probe.process import ProbedProcess

    # "usercustomize" if another program's sitecustomize stands before this one and does not run it.
    ProbedProcess(order, __name__, began_ns).enter()


def _place_without_files(root):  # type: (str) -> str
    """A path of the harness from which modules are loaded as if they were no files.

    Tools that follow the program's files, such as coverage or a tracer, skip code whose file is not a path.
    The code of each module has the file ``<harness>/...``, and its own path is known to its spec alone.
    """
    from importlib.machinery import FileFinder, SourceFileLoader
    from types import FunctionType

    place, found, name = root + "/.", sys.path_importer_cache, "<harness>"

    def real(path):  # type: (str) -> str
        return root + path[len(name) :] if path.startswith(name) else path

    class Loader(SourceFileLoader):
        def __init__(self, fullname, path):  # type: (str, str) -> None
            SourceFileLoader.__init__(self, fullname, name + path[len(place) :])

        def path_stats(self, path):  # type: ignore[no-untyped-def]
            return SourceFileLoader.path_stats(self, real(path))

        def get_data(self, path):  # type: ignore[no-untyped-def]
            return SourceFileLoader.get_data(self, real(path))

        def set_data(self, path, data, **options):  # type: ignore[no-untyped-def]
            SourceFileLoader.set_data(self, real(path), data, **options)

        def exec_module(self, module):  # type: ignore[no-untyped-def]
            for folder in getattr(module, "__path__", ()):
                find_in(folder)
            module.__file__ = self.path
            SourceFileLoader.exec_module(self, module)

    def find_in(folder):  # type: (str) -> None
        found[folder] = FileFinder(folder, (Loader, [".py"]))

    def without_file(function):  # type: ignore[no-untyped-def]
        code = function.__code__.replace(co_filename=name + "/probe/entry/sitecustomize.py")
        space = {"__name__": __name__, "__builtins__": __builtins__}
        return FunctionType(code, space, function.__name__, function.__defaults__, function.__closure__)

    # This file's own code as well, as far as it runs later.
    real, find_in = without_file(real), without_file(find_in)  # type: ignore[no-untyped-call]
    for key, method in list(vars(Loader).items()):
        if isinstance(method, FunctionType):
            setattr(Loader, key, without_file(method))  # type: ignore[no-untyped-call]
    find_in(place)
    return place


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
