"""Runs in an interpreter of the target's own kind, as a text: compiles modules, and asks for the entry.

It reads one request from stdin, a line of JSON, and answers with one. Compiled modules follow the answer.
"""

import json
import marshal
import signal
import socket
import struct
import sys
from typing import Any


def _compiled(sources: dict[str, tuple[bool, str, str]]) -> bytes:
    index: dict[str, tuple[bool, str, int, int]] = {}
    parts, offset = [], 0
    for name, (is_package, path, text) in sources.items():
        data = marshal.dumps(compile(text, path, "exec", dont_inherit=True))
        index[name] = (is_package, path, offset, len(data))
        parts.append(data)
        offset += len(data)
    head = json.dumps(index).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(parts)


def _wakeup_place() -> int:
    """Where `signal.set_wakeup_fd` keeps the descriptor, from the beginning of the interpreter's state."""
    import ctypes

    state = ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")
    base = ctypes.addressof(state)
    # The state begins with a table: a cookie, the version, the kind of build, the size.
    (size,) = struct.unpack_from("<24xQ", ctypes.string_at(base, 32))
    before = ctypes.string_at(base, size)
    seen = []
    one, other = socket.socketpair()
    for each in (one, other):
        each.setblocking(False)
        signal.set_wakeup_fd(each.fileno())
        seen.append((struct.pack("<i", each.fileno()), ctypes.string_at(base, size)))
    signal.set_wakeup_fd(-1)
    (number, state_with_one), (other_number, state_with_other) = seen
    found, at = [], -1
    while (at := state_with_one.find(number, at + 1)) >= 0:
        place = slice(at, at + 4)
        if before[place] == struct.pack("<i", -1) and state_with_other[place] == other_number:
            found.append(at)
    (only,) = found
    return only


def _answer(request: dict[str, Any]) -> bytes:
    about: dict[str, object] = {
        "version": list(sys.version_info[:2]),
        "python": sys.version.partition(" ")[0],
        "by": sys.implementation.name,
    }
    data = b""
    if "sources" in request:
        data = _compiled(request["sources"])
    if request.get("wakeup"):
        try:
            about["wakeup"] = _wakeup_place()
        except Exception as exc:
            about["no wakeup"] = str(exc)  # it is entered without
    if "script" in request:
        try:
            if not hasattr(sys, "remote_exec"):
                raise RuntimeError("this Python cannot do that")
            sys.remote_exec(request["pid"], request["script"])
        except BaseException as exc:
            about["error"] = [type(exc).__name__, str(exc)]
    return json.dumps({**about, "bytes": len(data)}).encode() + b"\n" + data


if __name__ == "__main__":
    sys.stdout.buffer.write(_answer(json.loads(sys.stdin.buffer.read())))
