"""A command leaves nothing that only the collector can free.

A service with infrequent collections, as one with many objects should have, would grow meanwhile; and what
is left could be frames of the service itself, with all their variables.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.consoled import Consoled, consoled

READING = [
    "status",
    "top",
    "ps --limit 50",
    "ps --json",
    "where waiting-1",
    "tree",
    "task waiting-1",
    "blocks",
    "spans",
    "executors",
    "executors --stacks",
    "queues",
    "locks",
    "lints",
    "memory --for 50ms",
    "faults list",
    "help",
    "no such command",
    "ps --no-such-option",
]
ASKED = 10


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None) -> Iterator[Consoled]:
    """One program for all tests of the module."""
    with consoled(tmp_path_factory.mktemp("service"), allow=("slow", "repl")) as running:
        # What is counted must not have been collected in the meantime.
        running.request("repl __import__('gc').disable()")
        yield running


def left_by(service: Consoled, line: str) -> float:
    """The number of objects that the collector finds per execution of the line.

    A second attempt decides: what the rest of the process leaves once, such as an import, is not the line's.
    """
    left = _left_now(service, line)
    return left if left < 1 else _left_now(service, line)


def _left_now(service: Consoled, line: str) -> float:
    service.ask("gc collect")
    for _ in range(ASKED):
        service.request(line)
    unreachable: int = service.ask("gc collect --json")["unreachable"]
    return unreachable / ASKED


@pytest.mark.long
@pytest.mark.parametrize("line", READING)
def test_a_command_leaves_the_collector_nothing(service: Consoled, line: str) -> None:
    """A reading command leaves no reference cycles: no parser, table or frame."""
    assert left_by(service, line) < 1


def test_what_a_command_does_leave_is_counted(service: Consoled) -> None:
    """The control: a list that contains itself is counted."""
    assert left_by(service, "repl (lambda x: x.append(x))([])") >= 1
