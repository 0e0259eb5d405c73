"""A saboteur, for tests only: makes chosen functions of the probe raise, in chosen phases of the program.

It stands before the probe's folder on PYTHONPATH, and compiles the probe's modules with a call at the
beginning of every function. Of a function that the program itself calls, only the part inside its ``try``
can raise: what stands outside is the program's own call. HARM_PLAN is a file of lines ``KEY PHASE KIND``;
HARM_SEEN gets ``seen KEY PHASE DEPTH`` for every function that is reached, with the number of calls in the
probe by which it is, and ``raised KEY PHASE KIND`` for every error.
"""

# mypy: ignore-errors

import _thread
import ast
import importlib.machinery
import marshal
import os
import sys

INSIDE = "_harness_inside."
sys.phase = "entry"


class Harm(BaseException):
    """An error that no ``except Exception`` catches."""


KINDS = {
    "RuntimeError": RuntimeError,
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "Harm": Harm,
    "AttributeError": AttributeError,
}


def _plan():
    plan = {}
    if path := os.environ.get("HARM_PLAN"):
        with open(path) as file:
            for line in file:
                key, phase, kind = line.split()
                plan[key, phase] = kind
    return plan


_PLAN = _plan()
_SEEN = os.open(os.environ["HARM_SEEN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
_said = set()


def _say(*words):
    if words not in _said:
        _said.add(words)
        os.write(_SEEN, (" ".join(words) + "\n").encode())


def _harm(
    key,
    in_try,
    *,
    getframe=sys._getframe,
    say=_say,
    plan=_PLAN.get,
    kinds=KINDS,
    sys=sys,
    inside=INSIDE,
):
    caller = getframe(2) if getframe(1).f_back is not None else None
    by_program = caller is None or not str(caller.f_globals.get("__name__")).startswith(inside)
    if by_program and not in_try:
        return
    depth = 1
    while caller is not None and str(caller.f_globals.get("__name__")).startswith(inside):
        caller, depth = caller.f_back, depth + 1
    phase = getattr(sys, "phase", "exit")
    say("seen", key, phase, str(depth))
    if (kind := plan((key, phase))) is not None:
        say("raised", key, phase, kind)
        raise kinds[kind](f"harm in {key}")


class _Sabotage(ast.NodeTransformer):
    def __init__(self, module):
        self._names = [module]

    def visit_ClassDef(self, node):
        return self._within(node)

    def visit_FunctionDef(self, node):
        self._within(node)
        place, in_try = node.body, False
        index = _first_statement(place)
        if index < len(place) and isinstance(place[index], ast.Try) and _is_guarded(place[index]):
            place, index, in_try = place[index].body, 0, True
        elif index < len(place) and isinstance(place[index], ast.Try) and _passes_on(place[index]):
            return node  # it begins with the program's own call
        key = self._names[0] + ":" + ".".join([*self._names[1:], node.name])
        # At the end of the interpreter, modules lose their globals.
        call = ast.parse(f"_harm is None or _harm({key!r}, {in_try})").body[0]
        place.insert(index, call)
        return node

    def _within(self, node):
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()
        return node


def _is_guarded(node):
    """Whether the ``try`` asks the hook what to do with an error."""
    return any("caught(" in ast.unparse(handler) for handler in node.handlers)


def _passes_on(node):
    """Whether the ``try`` only cuts the probe's frames off what the program's call has raised."""
    return bool(node.handlers) and all(
        isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None for handler in node.handlers
    )


def _first_statement(body):
    """The first one that does something."""
    for index, node in enumerate(body):
        value = getattr(node, "value", None)
        is_plain = isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)) and isinstance(
            value, (ast.Constant, type(None))
        )
        if not is_plain and not isinstance(node, (ast.Nonlocal, ast.Global)):
            return index
    return len(body)


_one_tree = _thread.allocate_lock()


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, *, _optimize=-1):
        name = self.name.removeprefix(INSIDE)
        # Python 3.11 mixes up trees that two threads make at a time, as the printing of a traceback does, too
        # (cpython#106905).
        for _ in range(100):
            try:
                with _one_tree:
                    tree = ast.fix_missing_locations(_Sabotage(name).visit(ast.parse(data)))
                    return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)
            except SystemError as exc:
                mixed_up = exc
        raise mixed_up

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        if not (folder := os.environ.get("HARM_CACHE")):
            return self.source_to_code(self.get_data(path), path)
        cached = f"{folder}/{fullname}-{os.stat(path).st_mtime_ns}-{sys.hexversion:x}"
        try:
            with open(cached, "rb") as file:
                return marshal.load(file)
        except (OSError, EOFError, ValueError):
            code = self.source_to_code(self.get_data(path), path)
        with open(f"{cached}-{os.getpid()}", "wb") as file:
            marshal.dump(code, file)
        os.replace(f"{cached}-{os.getpid()}", cached)
        return code

    def exec_module(self, module):
        vars(module)["_harm"] = _harm
        super().exec_module(module)


class _Finder:
    def find_spec(self, name, path=None, target=None):
        if not name.startswith(INSIDE):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
_path = os.environ["HARM_ENTRY"]
with open(_path) as _file:
    _code = compile(_file.read(), _path, "exec")
__file__ = _path
exec(_code)
