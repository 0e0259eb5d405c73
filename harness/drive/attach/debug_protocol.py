"""Asks for an entry in the other threads of a process, and takes requests back, by CPython's own protocol.

`sys.remote_exec` asks the main thread alone, which may wait for a lock for good while loops run in other
threads. The protocol behind it is documented ("Remote debugging attachment protocol") and works for any
thread: a table at the beginning of the interpreter's state says where in each thread the path of the script
and the request belong.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COOKIE = b"xdebugpy"
_SECTION = b".PyRuntime"
# Of the interpreter's `eval_breaker`: something is to be done.
_PLEASE_STOP = 1 << 5
# Threads beyond this number are not looked at.
_THREADS = 1_000


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the table has what, in words of 8 bytes; it is fixed for all releases of a minor version."""

    native_thread_id: int
    debugger_support: int  # the first of its six words
    interpreters_head: int = 5
    threads_head: int = 9
    next_thread: int = 24

    @property
    def words(self) -> int:
        return self.debugger_support + 6


_LAYOUTS = {(3, 14): _Layout(28, 89), (3, 15): _Layout(31, 105)}


class UnknownLayoutError(Exception):
    """The process's memory does not look as expected."""


@dataclass(frozen=True, slots=True)
class PythonThread:
    """A thread as its interpreter keeps it."""

    address: int
    native_id: int


class DebugProtocol:
    """The threads of one process.

    Raises:
        UnknownLayoutError: Its Python is none of those whose memory is known.
        OSError: Its memory cannot be read.
    """

    def __init__(self, pid: int, version: tuple[int, int]) -> None:
        layout = _LAYOUTS.get(version)
        if layout is None:
            raise UnknownLayoutError(f"the memory of Python {version[0]}.{version[1]} is not known")
        self._memory = _Memory(pid)
        self._layout = layout
        self._runtime = _runtime_address(pid)
        table = self._memory.read(self._runtime, 8 * layout.words)
        if not table.startswith(_COOKIE):
            raise UnknownLayoutError("there is no table of its interpreter")
        self._table = struct.unpack(f"<{layout.words}Q", table)

    def threads(self) -> Iterator[PythonThread]:
        """The threads of the main interpreter."""
        interpreter = self._word(self._runtime + self._table[self._layout.interpreters_head])
        address = self._word(interpreter + self._table[self._layout.threads_head])
        for _ in range(_THREADS):
            if not address:
                return
            native_id = self._word(address + self._table[self._layout.native_thread_id])
            yield PythonThread(address, native_id)
            address = self._word(address + self._table[self._layout.next_thread])

    def ask(self, thread: PythonThread, script: str) -> None:
        """Ask that the thread executes the file *script* at its next safe point."""
        breaker, support, _, pending, path, size = self._support()
        text = os.fsencode(script) + b"\0"
        if len(text) > size:
            raise UnknownLayoutError(f"the path of a script may have {size} bytes")
        self._memory.write(thread.address + support + path, text)
        self._memory.write(thread.address + support + pending, struct.pack("<i", 1))
        flags = self._word(thread.address + breaker)
        self._memory.write(thread.address + breaker, struct.pack("<Q", flags | _PLEASE_STOP))

    def number_at(self, place: int) -> int:
        """The C int at that place of the interpreter's state."""
        return int(struct.unpack("<i", self._memory.read(self._runtime + place, 4))[0])

    def take_back(self) -> None:
        """Take back all requests that no thread has followed yet."""
        _, support, _, pending, _, _ = self._support()
        for thread in self.threads():
            self._memory.write(thread.address + support + pending, struct.pack("<i", 0))

    def _support(self) -> tuple[int, ...]:
        return self._table[self._layout.debugger_support :]

    def _word(self, address: int) -> int:
        return int(struct.unpack("<Q", self._memory.read(address, 8))[0])


class _Memory:
    """The memory of another process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        library = ctypes.CDLL(None, use_errno=True)
        self._read = library.process_vm_readv
        self._write = library.process_vm_writev
        for call in (self._read, self._write):
            call.restype = ctypes.c_ssize_t
            call.argtypes = (
                *(ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong),
                *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong),
            )

    def read(self, address: int, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        self._move(self._read, buffer, address, size)
        return buffer.raw

    def write(self, address: int, data: bytes) -> None:
        self._move(self._write, ctypes.create_string_buffer(data, len(data)), address, len(data))

    def _move(self, call: Any, buffer: ctypes.Array[ctypes.c_char], at: int, size: int) -> None:
        ours, theirs = _Piece(ctypes.addressof(buffer), size), _Piece(at, size)
        if call(self._pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) != size:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class _Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _runtime_address(pid: int) -> int:
    """Where the interpreter's state begins: the section `.PyRuntime` of its file, as it is mapped."""
    top = os.readlink(f"/proc/{pid}/root")  # noqa: PTH115
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        # The first mapping of a file begins with its header.
        if len(fields) < 6 or "python" not in Path(fields[5]).name or int(fields[2], 16):
            continue
        base, end = (int(word, 16) for word in fields[0].split("-"))
        inner = fields[5].removeprefix(top) if top != "/" else fields[5]
        # Only root may open the first of these; the second may be another file after an upgrade.
        for file in (f"/proc/{pid}/map_files/{base:x}-{end:x}", f"/proc/{pid}/root{inner}"):
            if (found := _section(Path(file))) is not None:
                address, loads_at = found
                return base + address - loads_at
    raise UnknownLayoutError("none of its files has an interpreter's state")


def _section(path: Path) -> tuple[int, int] | None:
    """The address of the section in an ELF file of 64 bits, and that of the file's beginning."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            if head[:5] != b"\x7fELF\x02":
                return None
            segments, sections = struct.unpack_from("<QQ", head, 32)
            segment_size, segment_count, size, count, names_at = struct.unpack_from("<HHHHH", head, 54)
            file.seek(segments)
            loads = [
                struct.unpack_from("<IIQQ", file.read(segment_size)) for _ in range(segment_count)
            ]  # type, flags, offset, address
            file.seek(sections)
            table = [struct.unpack_from("<IIQQQQ", file.read(size)) for _ in range(count)]
            file.seek(table[names_at][4])
            names = file.read(table[names_at][5])
    except (OSError, struct.error, IndexError):
        return None
    first = next((address - offset for kind, _, offset, address in loads if kind == 1), 0)
    for name, _, _, address, _, _ in table:
        if names[name : name + len(_SECTION) + 1] == _SECTION + b"\0":
            return address, first
    return None
