"""Serves the runner's requests to the target: one UNIX socket per process, one JSON object per line.

The socket is in a folder that only its owner can enter, and the uid of each caller is checked. The serving
thread waits in the kernel and costs nothing. A request is ``{"do": NAME, ...}``, an answer ``{"ok": true,
...}`` or ``{"ok": false, "error": TEXT}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...record.hidden_thread import Background
from ...record.process.high_descriptor import raised_socket

Handler = Callable[[dict[str, Any]], dict[str, Any] | None]

# A request has the few fields of a fault; a longer line is not from the runner.
LINE_BYTES = 64 * 1024
IDLE_S = 10.0
# Callers that may wait at once, such as the runner with all faults of a scenario. One more would take its
# connection for made, and lose it.
WAITING = 1024


class ControlServer:
    """Serves requests until the process ends.

    Raises:
        OSError: The socket cannot be opened.
    """

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        self.path = folder / f"{os.getpid()}.sock"
        self._handlers = handlers
        self._listening = raised_socket(socket.socket(socket.AF_UNIX))
        self._caller: socket.socket | None = None
        self._listening.bind(str(self.path))
        self._listening.listen(WAITING)
        Background(self._serve)

    def close(self) -> None:
        """Remove the socket."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._listening.close()

    def abandon(self) -> None:
        """Close the parent's sockets in a child after `fork`: nothing answers there."""
        self._listening.close()
        # `close` would wait for the stream of the parent's thread, which is never closed here.
        if (caller := self._caller) is not None and (descriptor := caller.detach()) >= 0:
            os.close(descriptor)

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            self._caller = caller
            with contextlib.suppress(OSError, ValueError), caller:
                caller.settimeout(IDLE_S)
                if _uid_of(caller) == os.getuid():
                    self._converse(caller)
            self._caller = None

    def _converse(self, caller: socket.socket) -> None:
        with caller.makefile("rwb") as stream:
            while (line := stream.readline(LINE_BYTES)).endswith(b"\n"):
                stream.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                stream.flush()

    def _answer(self, request: Any) -> dict[str, Any]:
        try:
            handler = self._handlers[request["do"]]
        except (KeyError, TypeError):
            return {"ok": False, "error": f"expected one of {', '.join(self._handlers)} as 'do'"}
        try:
            return {"ok": True, **(handler(request) or {})}
        except Exception as exc:
            return {"ok": False, "error": f"{type(exc).__name__}: {exc}"}


def _uid_of(caller: socket.socket) -> int:
    _pid, uid, _gid = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
