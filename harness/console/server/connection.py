"""A client's connection as lines: bounded in length and time, without telnet's commands.

It offers no telnet options, so that a pipe through `nc` receives answers only; the offers and requests of a
telnet client are declined.
"""

from __future__ import annotations

import re
import select
import socket
from collections import deque
from contextlib import suppress

from ...record.clock import monotonic

LINE_BYTES = 8 * 1024
# Lines received ahead of their answers; beyond this, the client must wait.
AHEAD_BYTES = 64 * 1024
# A client that reads nothing, or takes longer than this for one answer, is disconnected.
SEND_WITHIN_S = 5.0
# The longest answer: all rows that a table may have, as JSON.
ANSWER_BYTES = 16 * 1024 * 1024
# Grace period for a client to close a connection that the server ends.
LINGER_S = 0.2

_IAC, _WILL, _DO, _WONT, _DONT = 255, 251, 253, 252, 254
# Interrupt process, break, abort output: what a Ctrl-C becomes, depending on the telnet client.
_INTERRUPTS = (b"\xff\xf4", b"\xff\xf3", b"\xff\xf5", b"\x03")
_PIECE = re.compile(
    rb"[^\xff\r\n\x03]+|\r|\n|\x03|\xff\xfa.*?\xff\xf0|\xff[\xfb-\xfe].|\xff[^\xfa-\xfe]", re.DOTALL
)


class GoneError(Exception):
    """The client has left, or does not read its answers."""


class TooLongError(Exception):
    """The client sent a line over the limit, which was dropped."""


class Lines:
    """Turns a stream of bytes into lines. CRLF, CR NUL, CR and LF each end one."""

    def __init__(self) -> None:
        self.received: deque[str | None] = deque()  # complete lines; `None` for one that was too long
        self.interrupted_after = -1  # how many lines had come when Ctrl-C came; -1 for none
        self.popped = 0  # lines
        self._ended = 0  # lines
        self.replies = bytearray()  # to a telnet client's requests
        self.size_bytes = 0  # of the complete lines
        self._line = bytearray()
        self._is_too_long = False
        self._after_cr = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Process received bytes."""
        data = self._rest + data
        end = 0
        while (piece := _PIECE.match(data, end)) is not None:
            end = piece.end()
            self._take(piece[0])
        # The beginning of a telnet command; dropped if it does not end.
        self._rest = data[end:] if len(data) - end <= LINE_BYTES else b""

    @property
    def has_begun(self) -> bool:
        """Whether a partial line has been received."""
        return bool(self._line) or self._is_too_long

    def pop(self) -> str:
        """The next line.

        Raises:
            IndexError: There is none yet.
            TooLongError: It was too long.
        """
        line = self.received.popleft()
        self.popped += 1
        if line is None:
            raise TooLongError
        self.size_bytes -= len(line)
        return line

    def _take(self, piece: bytes) -> None:
        after_cr, self._after_cr = self._after_cr, piece == b"\r"
        if piece in _INTERRUPTS:
            self.interrupted_after = self._ended
            self._line.clear()
        elif piece == b"\r":
            self._end_line()
        elif piece == b"\n":
            if not after_cr:
                self._end_line()
        elif piece[0] != _IAC:
            self._add(piece.replace(b"\0", b""))
            self._after_cr = after_cr and piece == b"\0"
        elif piece == b"\xff\xff":
            self._add(b"\xff")
        elif piece[1] in (_WILL, _DO):
            self.replies += bytes((_IAC, _DONT if piece[1] == _WILL else _WONT, piece[2]))

    def _add(self, text: bytes) -> None:
        if len(self._line) + len(text) > LINE_BYTES:
            self._is_too_long = True
            self._line.clear()
        elif not self._is_too_long:
            self._line += text

    def _end_line(self) -> None:
        self._ended += 1
        if self._is_too_long:
            self.received.append(None)
        else:
            line = self._line.decode(errors="replace")
            self.received.append(line)
            self.size_bytes += len(line)
        self._is_too_long = False
        self._line.clear()


class Connection:
    """A client's connection; used by one thread."""

    def __init__(self, channel: socket.socket) -> None:
        self.has_ended = False  # no more input will come
        self._channel = channel
        self._lines = Lines()
        channel.settimeout(SEND_WITHIN_S)

    @property
    def has_more(self) -> bool:
        """Whether a complete line has been received, or none will come."""
        return bool(self._lines.received) or self.has_ended

    @property
    def has_input(self) -> bool:
        """Whether anything unread was received: a line, a part of one, or the end of the input."""
        return self.has_more or self._lines.has_begun

    def read_line(self, *, within_s: float) -> str:
        """The next line.

        Raises:
            TimeoutError: None came in time.
            TooLongError: It was too long, and dropped.
            GoneError: No more will come.
        """
        deadline_s = monotonic() + within_s
        while not self._lines.received:
            if self.has_ended:
                raise GoneError
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                raise TimeoutError
            self.receive(within_s=left_s)
        return self._lines.pop()

    def receive(self, *, within_s: float) -> bool:
        """Wait for at most *within_s* for any input, and receive it; true if the client has hung up.

        A client that has only ended its input, as a pipe does, still waits for answers.
        """
        is_full = self._lines.size_bytes > AHEAD_BYTES or len(self._lines.received) > LINE_BYTES
        # With no room left, or no input to come, only a hang-up ends the wait.
        wanted = 0 if is_full or self.has_ended else select.POLLIN
        poll = select.poll()
        poll.register(self._channel, wanted)
        happened = poll.poll(max(0.0, within_s) * 1e3)
        if not happened:
            return False
        if happened[0][1] & wanted:
            self._read_socket()
            return False
        self.has_ended = True
        return True

    def take_interrupt(self) -> bool:
        """Whether a Ctrl-C came since the last call."""
        came, self._lines.interrupted_after = self._lines.interrupted_after >= 0, -1
        return came

    def drop_earlier_interrupt(self) -> None:
        """Forget a Ctrl-C that came before the latest line that was read was complete."""
        if self._lines.interrupted_after < self._lines.popped:
            self._lines.interrupted_after = -1

    def send(self, text: str) -> None:
        """Send text.

        Raises:
            GoneError: The client has left, or does not read.
        """
        self._send(text.encode(errors="replace")[:ANSWER_BYTES])

    def close(self) -> None:
        """Close the connection after everything sent has arrived."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
            # Closing with unread input would reset the connection, which may overtake the last answer.
            self._channel.settimeout(LINGER_S)
            while not self.has_ended and self._channel.recv(64 * 1024):
                pass
        self._channel.close()

    def _read_socket(self) -> None:
        try:
            data = self._channel.recv(64 * 1024)
        except OSError:
            data = b""
        self.has_ended = not data
        self._lines.feed(data)
        if self._lines.replies:
            replies, self._lines.replies = bytes(self._lines.replies), bytearray()
            self._send(replies)

    def _send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError as exc:  # including a timeout
            self.has_ended = True
            raise GoneError from exc
