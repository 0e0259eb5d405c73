"""One client's connection as lines: bounded in length and time, with everything of telnet taken out.

No option of telnet is ever offered, so that a pipe through `nc` gets nothing but answers; what a telnet
offers or asks for is declined.
"""

from __future__ import annotations

import re
import select
import socket
from collections import deque
from contextlib import suppress

from ...record.clock import monotonic

LINE_BYTES = 8 * 1024
# Lines that came ahead of their answers; beyond this the client has to wait.
AHEAD_BYTES = 64 * 1024
# A client that reads nothing for so long is cut off; so is one that takes longer for one answer.
SEND_WITHIN_S = 5.0
# The longest answer: all rows that a table may have, as JSON.
ANSWER_BYTES = 16 * 1024 * 1024
# How long a client that is sent away may take to hang up.
LINGER_S = 0.2

_IAC, _WILL, _DO, _WONT, _DONT = 255, 251, 253, 252, 254
# Interrupt process, break, abort output: what a Ctrl-C becomes, by the kind of telnet.
_INTERRUPTS = (b"\xff\xf4", b"\xff\xf3", b"\xff\xf5", b"\x03")
_PIECE = re.compile(
    rb"[^\xff\r\n\x03]+|\r|\n|\x03|\xff\xfa.*?\xff\xf0|\xff[\xfb-\xfe].|\xff[^\xfa-\xfe]", re.DOTALL
)


class GoneError(Exception):
    """The client has left, or does not read what it asked for."""


class TooLongError(Exception):
    """The client sent a line beyond the limit, which was dropped."""


class Lines:
    """Turns a stream of bytes into lines. CRLF, CR NUL, CR and LF all end one."""

    def __init__(self) -> None:
        self.waiting: deque[str | None] = deque()  # `None` stands for a line that was too long
        self.is_interrupted = False
        self.replies = bytearray()  # what a telnet wants to hear
        self.size_bytes = 0  # of what waits
        self._line = bytearray()
        self._is_too_long = False
        self._after_cr = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take in what came."""
        data = self._rest + data
        end = 0
        while (piece := _PIECE.match(data, end)) is not None:
            end = piece.end()
            self._take(piece[0])
        # The beginning of a telnet command; one that does not end is none.
        self._rest = data[end:] if len(data) - end <= LINE_BYTES else b""

    @property
    def has_begun(self) -> bool:
        """Whether a line has, that has not ended."""
        return bool(self._line) or self._is_too_long

    def pop(self) -> str:
        """The next line.

        Raises:
            IndexError: There is none yet.
            TooLongError: It was too long.
        """
        line = self.waiting.popleft()
        if line is None:
            raise TooLongError
        self.size_bytes -= len(line)
        return line

    def _take(self, piece: bytes) -> None:
        after_cr, self._after_cr = self._after_cr, piece == b"\r"
        if piece in _INTERRUPTS:
            self.is_interrupted = True
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
        if self._is_too_long:
            self.waiting.append(None)
        else:
            line = self._line.decode(errors="replace")
            self.waiting.append(line)
            self.size_bytes += len(line)
        self._is_too_long = False
        self._line.clear()


class Connection:
    """The connection itself; used by one thread."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = Lines()
        self._has_ended = False
        channel.settimeout(SEND_WITHIN_S)

    @property
    def has_more(self) -> bool:
        """Whether a line waits already, or will never come."""
        return bool(self._lines.waiting) or self._has_ended

    @property
    def has_input(self) -> bool:
        """Whether anything came that was not asked for yet, be it the beginning of a line, or its end."""
        return self.has_more or self._lines.has_begun

    def line(self, *, within_s: float) -> str:
        """The next line.

        Raises:
            TimeoutError: None came in time.
            TooLongError: It was too long, and dropped.
            GoneError: No more will come.
        """
        deadline_s = monotonic() + within_s
        while not self._lines.waiting:
            if self._has_ended:
                raise GoneError
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                raise TimeoutError
            self.take_in(within_s=left_s)
        return self._lines.pop()

    def take_in(self, *, within_s: float) -> bool:
        """Wait at most so long for the client to do anything; whether it has gone away completely.

        One that has only ended its input, as a pipe does, still waits for answers.
        """
        is_full = self._lines.size_bytes > AHEAD_BYTES or len(self._lines.waiting) > LINE_BYTES
        # With no more room, or no more to come, a hang-up is all that is waited for.
        wanted = 0 if is_full or self._has_ended else select.POLLIN
        poll = select.poll()
        poll.register(self._channel, wanted)
        happened = poll.poll(max(0.0, within_s) * 1e3)
        if not happened:
            return False
        if happened[0][1] & wanted:
            self._receive()
            return False
        self._has_ended = True
        return True

    def is_interrupted(self) -> bool:
        """Whether a Ctrl-C came since this was asked last."""
        came, self._lines.is_interrupted = self._lines.is_interrupted, False
        return came

    @property
    def has_ended(self) -> bool:
        """Whether no more lines will come."""
        return self._has_ended

    def send(self, text: str) -> None:
        """Send text.

        Raises:
            GoneError: The client has left, or does not read.
        """
        self._send(text.encode(errors="replace")[:ANSWER_BYTES])

    def close(self) -> None:
        """End the connection, after what was sent has arrived."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
            # With input that nobody has read, an end would be a reset, which overtakes the last answer.
            self._channel.settimeout(LINGER_S)
            while not self._has_ended and self._channel.recv(64 * 1024):
                pass
        self._channel.close()

    def _receive(self) -> None:
        try:
            data = self._channel.recv(64 * 1024)
        except OSError:
            data = b""
        self._has_ended = not data
        self._lines.feed(data)
        if self._lines.replies:
            replies, self._lines.replies = bytes(self._lines.replies), bytearray()
            self._send(replies)

    def _send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError as exc:  # a timeout is one as well
            self._has_ended = True
            raise GoneError from exc
