"""The address to listen on."""

from __future__ import annotations

from typing import NamedTuple


class ListenAddress(NamedTuple):
    """A host name or IP address, and a port; with port 0, the system chooses one."""

    host: str
    port: int


def parse_listen_address(text: str) -> ListenAddress:
    """Parse ``8080``, which means loopback, or ``0.0.0.0:8080``.

    Raises:
        ValueError: The message says what was expected.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ValueError("PORT or HOST:PORT")
    return ListenAddress(host or "127.0.0.1", int(port))
