"""Replaces the synchronous calls that block an event loop, reversibly, to time them.

Each replacement calls the original and, on the thread of a running loop, reports how long that took. In other
threads it adds one dictionary look-up. The program must not notice: a replacement has the name, the signature
and the pickled form of the original, classes keep their identity, and exceptions keep their traceback.

Functions are replaced before the program can import them by name: those of a module that is not loaded yet,
right after its import. This module is imported only if calls are counted.
"""

from __future__ import annotations

import functools
import sys
from _thread import get_ident

from ...record.clock import monotonic_ns
from ..hooks.builtin_shim import BuiltinShim
from ..hooks.hook import Hook, leave_out
from ..hooks.replacement import Replacement
from ..hooks.runtime import why_no_methods_in_c

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A process without a loop does not need these imports.
    from collections.abc import Callable, Sequence
    from types import FrameType, ModuleType
    from typing import Any, Protocol

    from ..hooks.import_hook import PostImportHook

    Arguments = tuple[Any, ...]
    Keywords = dict[str, Any]
    Argument = Callable[[Arguments, Keywords], object]  # returns the argument that distinguishes calls

    class CallListener(Protocol):
        """Called after each intercepted call, in its thread; an error undoes the interception."""

        def __call__(
            self,
            call: str,
            argument: Callable[[], object],
            began_ns: int,
            ended_ns: int,
            caller: FrameType | None,
        ) -> None: ...


# `read` and `write` are left out: on a loop's thread they are mostly called for pipes that never block, those
# of process pools and of asyncio itself. `_FILE` covers files from `open`.
_OS = (
    "access", "chmod", "chown", "fdatasync", "fsync", "link", "listdir", "lstat", "mkdir", "open", "readlink",
    "remove", "rename", "replace", "rmdir", "scandir", "stat", "statvfs", "symlink", "truncate", "unlink",
    "utime",
)  # fmt: skip
_SOCKET = ("getaddrinfo", "getfqdn", "gethostbyaddr", "gethostbyname", "gethostbyname_ex", "getnameinfo")
_SOCKET_CONNECTING = ("connect", "connect_ex")
_SOCKET_TRANSFERRING = (
    "accept", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "send", "sendall",
    "sendmsg", "sendto",
)  # fmt: skip
_SSL_SOCKET = ("do_handshake", "read", "send", "unwrap")
_SSL_CONTEXT = ("load_cert_chain", "load_default_certs", "load_verify_locations", "set_default_verify_paths")
_SUBPROCESS = ("call", "run")
# The methods of the raw layer: those above only move bytes in memory. Which reading method is called depends
# on the size of the file, so these share a name.
_FILE = {"read": "file.read", "readall": "file.read", "readinto": "file.read", "write": "file.write"}
_SQLITE_CONNECTION = {
    "__exit__": "sqlite3.commit", "commit": "sqlite3.commit", "execute": "sqlite3.execute",
    "executemany": "sqlite3.executemany", "executescript": "sqlite3.executescript",
    "rollback": "sqlite3.rollback",
}  # fmt: skip
_SQLITE_CURSOR = {
    "execute": "sqlite3.execute", "executemany": "sqlite3.executemany",
    "executescript": "sqlite3.executescript", "fetchall": "sqlite3.fetch", "fetchmany": "sqlite3.fetch",
    "fetchone": "sqlite3.fetch",
}  # fmt: skip


class Interception:
    """The replacements in this process."""

    def __init__(self) -> None:
        self.listener: CallListener | None = None
        # For each thread that runs a loop: whether it is in a reported call. Calls within that call, and
        # those made to report it, are part of it.
        self._inside: dict[int, bool] = {}
        self._hook = Hook("calls")
        self._hook.when_undone(self._inside.clear)

    def install(self, hooks: PostImportHook) -> None:
        """Replace the calls of loaded modules, and by *hooks* those of modules that are imported later."""
        import _frozen_importlib
        import _io
        import builtins
        import io
        import os
        import time

        self._function((builtins, io, _io), "open", "open", _first)
        self._function((time,), "sleep", "time.sleep", _first)
        for name in _OS:
            self._function((os,), name, f"os.{name}", _first)
        self._function((os,), "system", "os.system", _program)
        # Called only for modules that are not in `sys.modules` yet, so other imports cost nothing.
        self._function((_frozen_importlib,), "_find_and_load", "import", _first)
        for name, call in _FILE.items():
            self._builtin_method(_io.FileIO, name, call, _name)
        hooks.watch("socket", "calls of socket", self._in_socket)
        hooks.watch("ssl", "calls of ssl", self._in_ssl)
        hooks.watch("subprocess", "calls of subprocess", self._in_subprocess)
        hooks.watch("sqlite3", "calls of sqlite3", self._in_sqlite)

    def enter_thread(self) -> None:
        """Report the calls of this thread, which runs a loop, from now on."""
        self._inside[get_ident()] = False

    def leave_thread(self) -> None:
        """Stop reporting the calls of this thread."""
        self._inside.pop(get_ident(), None)

    def forget_threads(self) -> None:
        """Stop reporting in a child after `fork`, for the loop that ran is the parent's."""
        self._inside.clear()
        self.listener = None

    def remove(self) -> None:
        """Undo everything. A replacement that the program has stored only calls the original from now on."""
        self._hook.undo()

    def _in_socket(self, module: ModuleType) -> None:
        for name in _SOCKET:
            self._function((module,), name, f"socket.{name}", _first)
        for name in _SOCKET_CONNECTING:
            self._method(module.socket, name, f"socket.{name}", _second, may_wait=_has_timeout)
        for name in _SOCKET_TRANSFERRING:
            self._method(module.socket, name, f"socket.{name}", _nothing, may_wait=_has_timeout)

    def _in_ssl(self, module: ModuleType) -> None:
        for name in _SSL_SOCKET:
            self._method(module.SSLSocket, name, f"ssl.{name}", _nothing, may_wait=_has_timeout)
        for name in _SSL_CONTEXT:
            self._method(module.SSLContext, name, f"ssl.{name}", _second)

    def _in_subprocess(self, module: ModuleType) -> None:
        for name in _SUBPROCESS:
            self._function((module,), name, f"subprocess.{name}", _program)
        self._method(module.Popen, "__init__", "subprocess.Popen", _program_of_new)
        for name in ("communicate", "wait"):
            self._method(module.Popen, name, f"subprocess.{name}", _program_of_running)

    def _in_sqlite(self, module: ModuleType) -> None:
        import _sqlite3

        self._function((module, module.dbapi2, _sqlite3), "connect", "sqlite3.connect", _first)
        for name, call in _SQLITE_CONNECTION.items():
            self._builtin_method(module.Connection, name, call, _nothing)
        for name, call in _SQLITE_CURSOR.items():
            self._builtin_method(module.Cursor, name, call, _nothing)

    def _function(self, modules: Sequence[ModuleType], name: str, call: str, argument: Argument) -> None:
        """Replace one function under the same name in several modules."""
        own = getattr(modules[0], name, None)
        if own is None or not self._hook.is_on:  # not on this system; or the interception has ended
            return
        replacement: Any = self._timed(own, call, argument)
        if not hasattr(own, "__code__"):
            replacement = BuiltinShim(replacement, own, modules[0].__name__)
        for module in modules:
            if getattr(module, name, None) is own:
                Replacement(self._hook, module, name, replacement)

    def _method(
        self,
        owner: type,
        name: str,
        call: str,
        argument: Argument,
        may_wait: Callable[[Arguments], bool] | None = None,
    ) -> None:
        """Replace a method of a class written in Python, even an inherited one."""
        if (own := getattr(owner, name, None)) is not None and self._hook.is_on:
            Replacement(self._hook, owner, name, self._timed(own, call, argument, may_wait))

    def _builtin_method(self, owner: type, name: str, call: str, argument: Argument) -> None:
        """Replace a method of a class written in C.

        Replacing the class by a subclass would change the type of every file, and miss files that are open.
        """
        own = vars(owner).get(name)
        leave_out(f"calls of {owner.__name__}", reason := why_no_methods_in_c(owner))
        if own is not None and not reason and self._hook.is_on:
            _MethodInC(self._hook, owner, name, self._timed(own, call, argument))

    def _timed(
        self,
        own: Callable[..., Any],
        call: str,
        argument: Argument,
        may_wait: Callable[[Arguments], bool] | None = None,
    ) -> Callable[..., Any]:
        """A function that calls *own* and reports it as *call*."""
        # Bound here: at the end of the interpreter, modules lose their globals.
        inside, ident_here, clock = self._inside, get_ident, monotonic_ns
        caught, report = self._hook.caught, self._report
        # Even the built-in names are gone when the last files are flushed, by `FileIO.write`.
        any_error = BaseException

        @functools.wraps(own)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            began_ns = 0
            try:
                ident = ident_here()
                if not inside.get(ident, True) and (may_wait is None or may_wait(args)):
                    inside[ident] = True
                    began_ns = clock()
            except any_error as exc:
                if not caught(exc):
                    raise
            # Outside of any handler: what the call raises must not have the probe's error as its context.
            try:
                return own(*args, **kwargs)
            except any_error as exc:
                exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
                raise
            finally:
                if began_ns:
                    try:
                        report(call, argument, args, kwargs, began_ns, ident)
                    except any_error as exc:
                        if not caught(exc):
                            raise

        return replacement

    def _report(
        self, call: str, argument: Argument, args: Arguments, kwargs: Keywords, began_ns: int, ident: int
    ) -> None:
        ended_ns = monotonic_ns()
        try:
            if self.listener is not None:
                about = functools.partial(argument, args, kwargs)
                self.listener(call, about, began_ns, ended_ns, sys._getframe(1).f_back)
        finally:
            if ident in self._inside:
                self._inside[ident] = False


class _MethodInC(Replacement):
    """A replaced method of a class written in C, which refuses `setattr`."""

    def store(self, value: object) -> None:
        import ctypes
        import gc

        # The dictionary behind the class's read-only view of it.
        [namespace] = gc.get_referents(vars(self.owner))
        namespace[self.name] = value
        # The interpreter caches the methods of a class.
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(self.owner))


def _has_timeout(args: Arguments) -> bool:
    """Whether the socket may block: it has a timeout other than 0, or none. asyncio's sockets have 0."""
    return bool(args[0].gettimeout() != 0)


def _nothing(_args: Arguments, _kwargs: Keywords) -> object:
    return ""


def _first(args: Arguments, kwargs: Keywords) -> object:
    return args[0] if args else next(iter(kwargs.values()), "")


def _second(args: Arguments, kwargs: Keywords) -> object:
    return _first(args[1:], kwargs)


def _name(args: Arguments, _kwargs: Keywords) -> object:
    return args[0].name


def _program(args: Arguments, kwargs: Keywords) -> object:
    """The program of a command, without its arguments, which may be secrets."""
    command = args[0] if args else kwargs.get("args", kwargs.get("command", ""))
    words = command.split() if isinstance(command, (str, bytes)) else command
    # A single path is a command, too.
    return next(iter(words), "") if isinstance(words, (list, tuple)) else words


def _program_of_new(args: Arguments, kwargs: Keywords) -> object:
    return _program(args[1:], kwargs)


def _program_of_running(args: Arguments, _kwargs: Keywords) -> object:
    return _program((args[0].args,), {})
