"""Messages to systemd over the socket that it names in `NOTIFY_SOCKET`; see sd_notify(3)."""

from __future__ import annotations

import socket

from ...record.process.high_descriptor import raised_socket


class NotifySocket:
    """The datagram socket of a service manager."""

    def __init__(self, address: str) -> None:
        """*address* is a path, or ``@`` and a name for a socket without a file.

        Raises:
            ValueError: It is neither.
        """
        if not address.startswith(("/", "@")) or len(address) < 2:
            raise ValueError(f"NOTIFY_SOCKET: expected a path or @NAME, got {address!r}")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = raised_socket(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        # A service manager that does not read must not hold the loop.
        self._socket.setblocking(False)

    def send(self, text: str) -> bool:
        """Send a message; false if the service manager cannot be reached now."""
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
