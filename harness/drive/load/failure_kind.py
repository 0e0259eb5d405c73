"""Tells from an exception of a client library why a request failed."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from ...record.event import RequestFailure
from ...record.redact import redacted

_BY_ERRNO = {
    errno.EMFILE: RequestFailure.DESCRIPTORS,
    errno.ENFILE: RequestFailure.DESCRIPTORS,
    errno.EADDRNOTAVAIL: RequestFailure.PORTS,
    errno.ENOMEM: RequestFailure.MEMORY,
    errno.ENOBUFS: RequestFailure.MEMORY,
    errno.ECONNREFUSED: RequestFailure.REFUSED,
    errno.ECONNRESET: RequestFailure.RESET,
    errno.EPIPE: RequestFailure.RESET,
    errno.ETIMEDOUT: RequestFailure.TIMEOUT,
}


# The record keeps the beginning of an error, which may quote addresses and more.
ERROR_CHARS = 200


def error_text(exc: BaseException) -> str:
    """The error as the record shows it: class and message, without secrets."""
    return redacted(f"{type(exc).__name__}: {exc}".rstrip(": "))[:ERROR_CHARS]


def failure_kind(error: BaseException) -> RequestFailure | None:
    """The kind of the first error in the chain of causes that has one; `None` for an unknown one."""
    return next((kind for exc in _chain(error) if (kind := _kind(exc)) is not None), None)


def _kind(exc: BaseException) -> RequestFailure | None:
    match exc:
        case socket.gaierror():
            # Resolvers report a lack of descriptors or memory as a temporary failure.
            return RequestFailure.NAME
        case ssl.SSLError():
            return RequestFailure.TLS
        case TimeoutError():
            return RequestFailure.TIMEOUT
        case MemoryError():
            return RequestFailure.MEMORY
        case OSError(errno=int(number)):
            return _BY_ERRNO.get(number)
        # Raised by a library without the system's number.
        case ConnectionRefusedError():
            return RequestFailure.REFUSED
        case ConnectionResetError() | BrokenPipeError():
            return RequestFailure.RESET
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        exc = waiting.pop(0)
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        yield exc
        # aiohttp keeps the system's own error in `os_error`.
        own = getattr(exc, "os_error", None)
        waiting += [own if isinstance(own, BaseException) else None, exc.__cause__, exc.__context__]
