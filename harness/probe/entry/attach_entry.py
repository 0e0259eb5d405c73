"""Brings the probe into a process that runs already: Python executes this text there, at a safe point.

`sys.remote_exec` runs it between two instructions of the program, mostly in its main thread, so that thread
only starts another one. Below this text stands the call of `_begin`, with the folder of those who attach. The
modules lie there in one file, compiled by the same Python. They are loaded one by one, with pauses: a thread
that computes without them would make the loops wait for the GIL at each of their system calls.

Its first run counts; a later one, for example in another thread, does nothing.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__name__ = "_harness_entry"
# The share of the time in which modules are loaded.
_SHARE = 0.2
# How long a loop waits for the GIL at most while a module is loaded; Python's own interval is 5 ms.
_SWITCH_S = 0.0005
_STACK_BYTES = 1 << 20


def _begin(folder: str) -> None:
    try:
        os.close(os.open(folder + "/taken", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        # The program may have chosen a stack for its threads on which imports would overflow.
        stack = _thread.stack_size()
        if stack:
            _thread.stack_size(max(stack, _STACK_BYTES))
        try:
            _thread.start_new_thread(_load, (folder, _running_loop()))
        finally:
            if stack:
                _thread.stack_size(stack)
    except Exception:
        # It was here before, or the process is about to end. The program must not notice.
        return


def _running_loop() -> Any:
    try:
        return sys.modules["asyncio.events"].get_running_loop()
    except (KeyError, RuntimeError):  # asyncio is not imported, or no loop runs in this thread
        return None


def _load(folder: str, loop: Any) -> None:
    import _signal  # type: ignore[import-not-found]  # the module behind `signal`

    # As the probe's other threads do; see `record/hidden_thread.py`.
    faults = {getattr(_signal, "SIG" + name) for name in ("SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS")}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - faults)
    try:
        import json
        import socket
        from contextlib import suppress

        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.connect(folder + "/attach.sock")
    except Exception:
        # Whoever wanted to attach has gone.
        _clear(folder)
        return
    modules: _Modules | None = None
    interval = sys.getswitchinterval()
    try:
        if "_harness_inside" in sys.modules:
            raise _refusal("the probe is in it already")
        if "asyncio.events" not in sys.modules:
            raise _refusal("it has not imported asyncio")
        sys.setswitchinterval(min(interval, _SWITCH_S))
        modules = _Modules(folder)
        modules.install()
        from _harness_inside.probe.attachment import Attachment
        from _harness_inside.record.process.high_descriptor import raised, raised_socket

        channel, modules.fd = raised_socket(channel), raised(modules.fd)
        with open(folder + "/order") as file:
            order = file.read()
        Attachment(order, channel, forget=modules.remove, end=lambda: _end(folder, channel, modules)).begin(
            loop
        )
        _restore(interval)
    except BaseException as exc:
        kind = "refused" if type(exc).__name__ == "NotEnterableError" else "failed"
        text = str(exc) if kind == "refused" else "%s: %s%s" % (type(exc).__name__, exc, _place(exc))
        _restore(interval)
        with suppress(OSError):
            channel.sendall(json.dumps({kind: text}).encode() + b"\n")
        _end(folder, channel, modules)


def _restore(interval: float) -> None:
    # The program may have set another one in the meantime.
    if abs(sys.getswitchinterval() - min(interval, _SWITCH_S)) < 1e-6:
        sys.setswitchinterval(interval)


def _end(folder: str, channel: socket.socket, modules: _Modules | None) -> None:
    """Remove the probe's modules; and the folder, if those who attached cannot do it."""
    if modules is not None:
        modules.remove()
    try:
        channel.settimeout(5)
        # They end the channel when they have read the last message, and then remove the folder.
        is_gone = channel.recv(1) == b""
    except OSError:
        is_gone = True
    channel.close()
    if is_gone:
        _clear(folder)


def _refusal(text: str) -> Exception:
    kind: type[Exception] = type("NotEnterableError", (Exception,), {})
    return kind(text)


def _place(exc: BaseException) -> str:
    step = exc.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return " (%s:%d)" % (step.tb_frame.f_code.co_filename, step.tb_lineno) if step is not None else ""


def _clear(folder: str) -> None:
    """Remove the folder, unless it holds the record of a run."""
    from contextlib import suppress

    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == "run.json" for entry in entries):
        return
    for entry in entries:
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                _clear(entry.path)
            else:
                os.unlink(entry.path)
    with suppress(OSError):
        os.rmdir(folder)


class _Modules:
    """Finds and loads the probe's modules in the folder's file, under their private name."""

    def __init__(self, folder: str) -> None:
        import json

        with open(folder + "/modules", "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self._index: dict[str, tuple[bool, str, int, int]] = json.loads(file.read(size))
            self._base = 8 + size
        # The program may change its root or its user before a module is needed.
        self.fd = os.open(folder + "/modules", os.O_RDONLY | os.O_CLOEXEC)
        self._spent: dict[int, float] = {}  # the time of each thread in modules

    def install(self) -> None:
        from importlib.machinery import ModuleSpec
        from types import ModuleType

        package = ModuleType("_harness_inside")
        package.__path__ = ["<harness>"]
        package.__spec__ = ModuleSpec("_harness_inside", None, is_package=True)
        sys.modules["_harness_inside"] = package
        self._admit("<harness>")

    def remove(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "_harness_inside"]:
            del sys.modules[name]
        for path in [path for path in sys.path_importer_cache if path.partition("/")[0] == "<harness>"]:
            del sys.path_importer_cache[path]
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _admit(self, path: str) -> None:
        sys.path_importer_cache[path] = _Folder(self, path)

    def children(self, path: str) -> Iterator[tuple[str, bool]]:
        """The names of the modules in a folder, each with whether it is a package."""
        for name, (is_package, place, _, _) in self._index.items():
            own = place.rpartition("/")[0] if is_package else place
            if own.rpartition("/")[0] == path:
                yield name.rpartition(".")[2], is_package

    def find_spec(self, name: str) -> ModuleSpec | None:
        """What Python asks a finder."""
        from importlib.machinery import ModuleSpec

        found = self._index.get(name.partition(".")[2])
        if found is None:
            return None
        is_package, path, _, _ = found
        spec = ModuleSpec(name, self, origin=path, is_package=is_package)  # type: ignore[arg-type]
        if is_package:
            folder = path.rpartition("/")[0]
            spec.submodule_search_locations = [folder]
            self._admit(folder)
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """What Python asks a loader: the module itself is an ordinary one."""

    def exec_module(self, module: ModuleType) -> None:
        """Load a module, and pause."""
        import marshal
        import time

        me = _thread.get_ident()
        began, within = time.thread_time(), self._spent.get(me, 0.0)
        _, path, offset, size = self._index[module.__name__.partition(".")[2]]
        module.__file__ = path
        code = marshal.loads(os.pread(self.fd, size, self._base + offset))  # noqa: S302  # of our own file
        exec(code, module.__dict__)
        # Without what it imported itself, for which the pauses have been made.
        took = time.thread_time() - began - (self._spent.get(me, 0.0) - within)
        self._spent[me] = self._spent.get(me, 0.0) + took
        if _running_loop() is None:
            time.sleep(took / _SHARE - took)


class _Folder:
    """What Python asks for the modules of one folder."""

    def __init__(self, modules: _Modules, path: str) -> None:
        self._modules = modules
        self._path = path

    def find_spec(self, name: str, target: ModuleType | None = None) -> ModuleSpec | None:
        return self._modules.find_spec(name)

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        for name, is_package in self._modules.children(self._path):
            yield prefix + name, is_package
