"""What answers a command is gone with the answer, and does not wait for the collector.

A service that has the collector look seldom, as one with many objects should, would grow meanwhile; and what
is kept could be frames of the service itself, with everything in them.
"""

from __future__ import annotations

import pytest

from tests.support.consoled import consoled

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
def service(tmp_path_factory, runtime_of_module):
    """One program for all of them."""
    with consoled(tmp_path_factory.mktemp("service"), allow=("repl",)) as running:
        yield running


def left_by(service, line):
    """The number of objects that the collector finds, for each time that the line is carried out."""
    service.request(line)  # the first time imports
    service.ask("gc collect")
    for _ in range(ASKED):
        service.request(line)
    return service.ask("gc collect --json")["unreachable"] / ASKED


@pytest.mark.parametrize("line", READING)
def test_a_command_leaves_the_collector_nothing(service, line):
    """Neither its parser, nor its table, nor a frame."""
    assert left_by(service, line) < 1


def test_what_a_command_does_leave_is_counted(service):
    """A list that contains itself is left by each of these."""
    assert left_by(service, "repl (lambda x: x.append(x))([])") >= 1
