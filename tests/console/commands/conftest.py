"""The programs that the commands read, each shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.record.event import ProbeFailed
from tests.support.commanded import wait
from tests.support.console_programs import LOOPS, TASKS, TRACED, done
from tests.support.consoled import Consoled, consoled


@pytest.fixture(scope="module", params=LOOPS)
def tasks_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None
) -> Iterator[Consoled]:
    """One program for all tests of a module."""
    folder = tmp_path_factory.mktemp("service")
    with consoled(folder, program=TASKS, loop=request.param, allow=("slow", "repl", "chaos")) as running:
        yield running
        assert running.events(ProbeFailed) == []


@pytest.fixture
def program(tasks_service: Consoled) -> Iterator[Consoled]:
    """The program, without any task but its own."""
    yield tasks_service
    done(tasks_service, "drop()")
    wait(lambda: tasks_service.ask("ps --json")["total"] == 1)


@pytest.fixture(scope="module", params=LOOPS)
def traced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None
) -> Iterator[Consoled]:
    """A program with spans, one of them in flight."""
    with consoled(tmp_path_factory.mktemp("traced"), program=TRACED, loop=request.param) as running:
        yield running
