"""The programs that the commands read, each shared by the tests of a module."""

from __future__ import annotations

import pytest

from harness.record.event import ProbeFailed
from harness.record.reader import Follower
from tests.support.commanded import wait
from tests.support.console_programs import LOOPS, TASKS, TRACED, done
from tests.support.consoled import consoled


@pytest.fixture(scope="module", params=LOOPS)
def tasks_service(request, tmp_path_factory, runtime_of_module):
    """One program for all tests of a module."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    folder = tmp_path_factory.mktemp("service")
    with consoled(folder, program=TASKS, loop=request.param, allow=("repl", "chaos")) as running:
        running.is_uvloop = request.param == "uvloop"
        running.lines = (folder / "program.py").read_text().splitlines()
        yield running
        failed = [event for _, event in Follower(running.folder.events).new_events()]
        assert [event for event in failed if isinstance(event, ProbeFailed)] == []


@pytest.fixture
def program(tasks_service):
    """The program, without any task but its own."""
    yield tasks_service
    done(tasks_service, "drop()")
    wait(lambda: tasks_service.ask("ps --json")["total"] == 1)


@pytest.fixture(scope="module", params=LOOPS)
def traced(request, tmp_path_factory, runtime_of_module):
    """A program with spans, one of them in flight."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with consoled(tmp_path_factory.mktemp("traced"), program=TRACED, loop=request.param) as running:
        running.lines = TRACED.splitlines()
        yield running
