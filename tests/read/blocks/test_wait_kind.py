"""What a call waited for, told by the library it was in and by the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import pytest

from harness.read.blocks.block import Block
from harness.record.value import replace
from tests.read.conftest import Figures, Look, Record

OFF_CPU: Figures = {"cpu_ns": 1, "queued_ns": 0, "watched_ns": 100_000_000}
Waited = Callable[..., Block]


@pytest.fixture
def waited(record: Record, look: Look) -> Waited:
    """The one block of a turn made of samples, each a system call with the calls on the stack."""

    def make(*samples: tuple[str, ...], **figures: Unpack[Figures]) -> Block:
        made = record()
        made.loop(limit_ms=50)
        seen = [replace(look(*calls, count=20), syscall=syscall) for syscall, *calls in samples]
        all_figures: Figures = {**OFF_CPU, **figures}
        made.blocked(4.0, 300, seen, **all_figures)
        return made.only_block()

    return make


@pytest.mark.parametrize(
    ("kind", "syscall"),
    [
        ("sleep", "clock_nanosleep"),
        ("socket", "recvfrom"),
        ("socket", "connect"),
        ("socket", "poll"),
        ("file", "fsync"),
        ("file", "openat"),
        ("subprocess", "wait4"),
        ("lock", "futex"),
    ],
)
def test_a_call_in_c_is_known_by_where_the_kernel_had_the_thread(
    waited: Waited, kind: str, syscall: str
) -> None:
    """The stack ends at the program's own line."""
    block = waited((syscall, "cart.py:41 Cart.total"))

    assert (block.cause, block.waits_for) == ("call", kind)


@pytest.mark.parametrize(
    ("kind", "syscall", "calls"),
    [
        ("dns", "poll", ["lib/socket.py:978 getaddrinfo"]),
        ("dns", "poll", ["lib/socket.py:836 create_connection", "lib/socket.py:978 getaddrinfo"]),
        ("socket", "poll", ["lib/socket.py:836 create_connection"]),
        ("socket", "read", ["lib/ssl.py:1103 SSLSocket.read"]),
        ("queue", "futex", ["lib/queue.py:171 Queue.get", "lib/threading.py:355 Condition.wait"]),
        ("future", "futex", ["lib/concurrent/futures/_base.py:451 Future.result", "lib/threading.py:3 wait"]),
        ("lock", "futex", ["lib/threading.py:655 Event.wait", "lib/threading.py:355 Condition.wait"]),
        ("subprocess", "poll", ["lib/subprocess.py:2115 Popen._communicate", "lib/selectors.py:4 select"]),
        ("subprocess", "read", ["lib/subprocess.py:1953 Popen._execute_child"]),
        ("file", "326", ["lib/shutil.py:260 copyfile"]),
        ("socket", "futex", ["site/grpc/_channel.py:1181 _UnaryUnaryMultiCallable.__call__"]),
        ("sleep", "clock_nanosleep", ["site/urllib3/util/retry.py:359 Retry.sleep"]),
        ("socket", "recvfrom", ["site/vendor/client.py:8 Client.get"]),
    ],
)
def test_a_library_that_tells_more_than_the_kernel_wins(
    waited: Waited, kind: str, syscall: str, calls: list[str]
) -> None:
    """A queue waits for a lock, and a name lookup in `poll`; a library that is not known changes nothing."""
    block = waited((syscall, "cart.py:41 Cart.total", *calls))

    assert (block.cause, block.waits_for) == ("call", kind)


def test_a_library_is_enough_where_the_kernel_does_not_tell(waited: Waited) -> None:
    """As in a container that hides /proc."""
    assert waited(("", "cart.py:41 total", "lib/queue.py:171 Queue.get")).waits_for == "queue"


@pytest.mark.parametrize("syscall", ["", "291"])
def test_what_is_not_known_stays_open(waited: Waited, syscall: str) -> None:
    """No guess without a known library or system call; the hint is that of any call."""
    block = waited((syscall, "cart.py:41 Cart.total"))

    assert (block.cause, block.waits_for) == ("call", "")
    assert block.help == "docs/blocking.md#call"


@pytest.mark.parametrize(
    "calls",
    [["cart.py:41 total", "queue.py:9 Queue.get"], ["lib/queue.py:171 Queue.get", "cart.py:41 total"]],
    ids=["a module of its own", "a library that called the program"],
)
def test_only_a_library_that_was_called_tells_something(waited: Waited, calls: list[str]) -> None:
    """A file of the program called queue.py tells nothing, nor what lies outside of the program's code."""
    assert waited(("futex", *calls)).waits_for == "lock"


def test_of_several_kinds_the_longest_counts(waited: Waited) -> None:
    """Two looks at a sleep, one at a socket, one at nothing."""
    line = "cart.py:41 Cart.total"
    looks = [("recvfrom", line), ("clock_nanosleep", line), ("clock_nanosleep", line), ("running", line)]

    assert waited(*looks).waits_for == "sleep"


def test_only_a_call_waits(waited: Waited) -> None:
    """What computes is seen at a futex too, the GIL's: it waits for nothing."""
    block = waited(("futex", "cart.py:41 total"), cpu_ns=90_000_000)

    assert (block.cause, block.waits_for, block.help) == ("cpu", "", "docs/blocking.md#computing")
