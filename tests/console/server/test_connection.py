"""A client's bytes become lines: any line end, without telnet's commands, bounded in size."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.console.server.access_log import AccessLog
from harness.console.server.connection import LINE_BYTES, Connection, GoneError, Lines, TooLongError
from harness.console.server.session import ConsoleSession
from harness.console.view.recent_events import RecentEvents

IAC = b"\xff"
NEGOTIATION = b"\xff\xfb\x18\xff\xfa\x18\x00xterm\xff\xf0\xff\xfd\x01\xff\xfc\x05"


def lines_of(*chunks: bytes) -> list[str | None]:
    lines = Lines()
    for chunk in chunks:
        lines.feed(chunk)
    return list(lines.received)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r"], ids=repr)
def test_every_line_end_is_one(end: bytes) -> None:
    """CRLF, CR NUL, CR and LF each end one line, also byte by byte, and also after an empty line."""
    text = b"ps" + end + end + b"where 7" + end

    assert lines_of(text) == ["ps", "", "where 7"]
    assert lines_of(*(bytes([byte]) for byte in text)) == ["ps", "", "where 7"]


def test_telnets_commands_are_no_text() -> None:
    """Telnet commands are removed from the text wherever they are cut; an escaped 255 remains."""
    text = NEGOTIATION + b"p" + NEGOTIATION + b"s \xff\xff\r\n"
    whole = lines_of(text)

    assert whole == ["ps \ufffd"]
    for cut in range(len(text)):
        assert lines_of(text[:cut], text[cut:]) == whole


def test_what_telnet_offers_or_asks_for_is_declined() -> None:
    """Each WILL is answered by DONT, each DO by WONT; WONT and DONT need no answer."""
    lines = Lines()
    lines.feed(NEGOTIATION)

    assert bytes(lines.replies) == b"\xff\xfe\x18\xff\xfc\x01"


@pytest.mark.parametrize("ctrl_c", [b"\xff\xf4", b"\xff\xf3", b"\x03"], ids=repr)
def test_ctrl_c_gives_up_the_line(ctrl_c: bytes) -> None:
    """A Ctrl-C drops the partial line and is reported as an interrupt."""
    lines = Lines()
    lines.feed(b"cancel 7" + ctrl_c + b"ps\n")

    assert list(lines.received) == ["ps"]
    assert lines.interrupted_after == 0  # before the first line that is complete


def test_a_line_has_a_bound() -> None:
    """A line over the limit is dropped as a whole, and the next one is intact."""
    longest = b"x" * LINE_BYTES

    assert lines_of(longest + b"\nps\n") == [longest.decode(), "ps"]
    assert lines_of(b"x" + longest + b"\nps\n") == [None, "ps"]


def test_random_bytes_keep_nothing() -> None:
    """After random bytes, lines still end at line ends, and an endless telnet command is not buffered."""
    dice = random.Random(7)
    lines = Lines()
    for _ in range(200):
        lines.feed(dice.randbytes(2_000))
        lines.received.clear()
    lines.feed(b"\n")
    lines.received.clear()
    lines.feed(b"\xff\xfa" + b"x" * 100_000)
    lines.feed(b"\nps\n")

    assert len(lines._rest) <= LINE_BYTES
    assert list(lines.received)[-1] == "ps"


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the client's end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


def test_a_client_that_does_not_read_is_cut(
    pair: tuple[Connection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending to a client that does not read fails after a timeout."""
    connection, _ = pair
    connection._channel.settimeout(0.1)

    with pytest.raises(GoneError):
        connection.send("x" * 10_000_000)
    assert connection.has_ended


def test_a_client_that_ends_its_input_gets_its_answers(pair: tuple[Connection, socket.socket]) -> None:
    """A client that has ended its input, as a pipe does, is served until it hangs up."""
    connection, theirs = pair
    theirs.sendall(b"one\ntwo\n")
    theirs.shutdown(socket.SHUT_WR)

    assert [connection.read_line(within_s=1), connection.read_line(within_s=1)] == ["one", "two"]
    assert not connection.receive(within_s=0.01)
    connection.send("answer\n")
    assert theirs.recv(100) == b"answer\n"
    with pytest.raises(GoneError):
        connection.read_line(within_s=1)
    theirs.close()
    assert connection.receive(within_s=5)


def test_a_long_line_is_told(pair: tuple[Connection, socket.socket]) -> None:
    """Reading a line over the limit raises an error of its own; the next line is read."""
    connection, theirs = pair
    theirs.sendall(b"x" * (LINE_BYTES + 1) + b"\nps\n")

    with pytest.raises(TooLongError):
        connection.read_line(within_s=1)
    assert connection.read_line(within_s=1) == "ps"


def test_an_idle_client_is_told_and_left(pair: tuple[Connection, socket.socket]) -> None:
    """A session ends when its client has sent no line for the idle time."""
    connection, theirs = pair
    service: Any = SimpleNamespace(recent=RecentEvents())
    ConsoleSession(
        connection,
        "who",
        lambda _: ["hello"],
        "> ",
        service,
        AccessLog(lambda _: None, lambda: 0),
        idle_s=0.3,
    ).run()

    theirs.settimeout(1)
    assert theirs.recv(1000) == b"hello\n> idle for 0.005 minutes: closing\n"
