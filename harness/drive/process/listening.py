"""Which ports of this machine are listened on, by the kernel's list: no server sees a connection for that."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN in the kernel's `tcp_states.h`
_SERVES_LOOPBACK = {IPv4Address(0), IPv4Address("127.0.0.1")}


def accepts(port: int) -> bool | None:
    """Whether 127.0.0.1 would accept a connection to *port*; `None` if the kernel's list does not tell.

    It does not where a server listens on all addresses of IPv6, which may be those of IPv4 as well.
    """
    try:
        addresses = {*_listening(port, "tcp")}
    except OSError:
        return None
    with suppress(FileNotFoundError):  # a machine without IPv6
        addresses |= {*_listening(port, "tcp6")}
    if _SERVES_LOOPBACK & {getattr(each, "ipv4_mapped", None) or each for each in addresses}:
        return True
    return None if IPv6Address("::") in addresses else False


def _listening(port: int, protocol: str) -> Iterator[IPv4Address | IPv6Address]:
    """The addresses of the sockets that listen on *port*.

    Raises:
        OSError: There is no list of this protocol.
    """
    for line in Path("/proc/net", protocol).read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, _, its_port = local.partition(":")
        if state == _LISTEN and int(its_port, 16) == port:
            # Words of 32 bits, each as a number of this machine's byte order.
            words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
            yield ip_address(b"".join(struct.pack("=I", word) for word in words))
