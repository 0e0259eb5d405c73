"""What the probe says once it is in, and how it is taken."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from harness.drive.attach.entry import Entry
from harness.errors import TargetError
from harness.record.probe_config import ProbeConfig
from tests.drive.attach.test_control_folder import subject

Say = Callable[..., None]


@pytest.fixture
def conversation() -> Iterator[tuple[Entry, Say]]:
    """An entry into this process, and what says a message of the probe's to it."""
    ours, theirs = socket.socketpair()
    entry = Entry(subject(""), ProbeConfig(folder="", limit_ns=10**8), wait_s=1)
    entry._channel = ours

    def say(**message: object) -> None:
        theirs.sendall(json.dumps(message).encode() + b"\n")

    with ours, theirs:
        yield entry, say


def test_a_message_of_another_kind_is_passed_over(conversation: tuple[Entry, Say]) -> None:
    """Each answer comes with its own name; an error that is part of the answer is the caller's."""
    entry, say = conversation
    say(console=None, note="it is not allowed")
    say(entered=3)
    say(left=False, failed="no thread ended")

    assert entry._message("entered", within_s=20) == {"entered": 3}
    assert entry._message("left", within_s=20) == {"left": False, "failed": "no thread ended"}


def test_a_probe_that_could_not_enter_is_told_with_its_reason(conversation: tuple[Entry, Say]) -> None:
    """Instead of the answer that was waited for."""
    entry, say = conversation
    say(left=True, failed="OSError: no room")

    with pytest.raises(TargetError) as raised:
        entry._message("entered", within_s=20)
    assert str(raised.value) == f"process {os.getpid()}: the probe could not enter: OSError: no room"
