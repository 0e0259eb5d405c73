"""Reads what transports keep about the data that they have not sent yet.

Nothing of the program runs for that. Transports of unknown classes are left out.
"""

from __future__ import annotations

import gc
from asyncio import AbstractEventLoop, BaseTransport
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from selectors import EVENT_WRITE
from typing import Any
from weakref import WeakValueDictionary

from . import loop_state, uvloop_state

# Of a buffer with more pieces, the size is an estimate from the first ones: each step of the interpreter that
# walks it holds the GIL.
PIECES = 1_000
# A loop with more files is looked at in part.
FILES = 20_000


def unsent(loop: AbstractEventLoop) -> Iterator[Any]:
    """The transports of *loop* that have data to send."""
    if uvloop_state.is_uvloops(loop):
        yield from (transport for transport in _of_uvloop(loop) if size(transport))
        return
    # A transport waits for its file to become writable for as long as it has data. The copy is one step of
    # the interpreter, during which the loop's thread cannot change the dictionary.
    files = getattr(loop_state.selector(loop), "_fd_to_key", {})
    for key in list(files.values()) if len(files) <= FILES else ():
        if key.events & EVENT_WRITE and type(key.data) is tuple:
            owner = getattr(loop_state.callback(key.data[1]), "__self__", None)
            if issubclass(type(owner), BaseTransport):
                yield owner


def protocols(loop: AbstractEventLoop, most: int) -> Iterator[Any]:
    """The protocols of the transports of *loop* that wait to read, at most so many."""
    files = getattr(loop_state.selector(loop), "_fd_to_key", {})
    for key in islice(list(files.values()) if len(files) <= FILES else (), most):
        if type(key.data) is tuple and key.data[0] is not None:
            owner = getattr(loop_state.callback(key.data[0]), "__self__", None)
            if issubclass(type(owner), BaseTransport):
                yield loop_state.protocol(key.data[0])


def size(transport: Any) -> int:
    """The bytes that wait to be sent, also those that TLS holds; of many pieces, an estimate."""
    if uvloop_state.is_uvloops(transport):
        with suppress(NotImplementedError):  # of a transport that only reads
            return int(transport.get_write_buffer_size()) if not transport.is_closing() else 0
        return 0
    counted = getattr(transport, "_buffer_size", None)  # of datagrams, from Python 3.12 on
    held = counted if isinstance(counted, int) else _size_of(getattr(transport, "_buffer", b""))
    protocol = getattr(transport, "_protocol", None)
    outgoing, waiting = getattr(protocol, "_outgoing", None), getattr(protocol, "_write_buffer_size", 0)
    return held + getattr(outgoing, "pending", 0) + (waiting if isinstance(waiting, int) else 0)


def high_water(transport: Any) -> int:
    """The size from which on the transport asks its protocol to pause; asyncio's default if it is unknown."""
    limit = getattr(transport, "_high_water", None)
    return limit if isinstance(limit, int) else 65_536


def written_to(transport: Any) -> Any:
    """The transport that the program writes to: of TLS, the one above."""
    above = getattr(getattr(transport, "_protocol", None), "_app_transport", None)
    return above if above is not None else transport


def _size_of(buffer: Any) -> int:
    if type(buffer) is not deque:
        return len(buffer) if type(buffer) in (bytearray, bytes) else 0
    some = [piece[0] if type(piece) is tuple else piece for piece in list(islice(buffer, PIECES))]
    known = sum(len(piece) for piece in some if type(piece) in (bytes, bytearray, memoryview))
    return known * len(buffer) // len(some) if len(some) == PIECES else known


def _of_uvloop(loop: AbstractEventLoop) -> list[Any]:
    for held in gc.get_referents(loop):
        if type(held) is WeakValueDictionary:
            known = list(getattr(held, "data", {}).values())
            return [transport for alive in known if (transport := alive()) is not None]
    return []
