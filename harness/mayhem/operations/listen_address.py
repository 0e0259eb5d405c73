"""Where to listen: an address of this machine."""

from __future__ import annotations

from typing import NamedTuple


class ListenAddress(NamedTuple):
    """A host, by name or number, and a port; 0 leaves the port to the system."""

    host: str
    port: int


def parse_listen_address(text: str) -> ListenAddress:
    """``8080`` on loopback, or ``0.0.0.0:8080``.

    Raises:
        ValueError: Says what was expected.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ValueError("PORT or HOST:PORT")
    return ListenAddress(host or "127.0.0.1", int(port))
