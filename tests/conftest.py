"""What every test may use."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Generator, Iterator

import pytest

from harness.probe.hooks import hook

# Runs pytest itself, for the tests of the plugin.
pytest_plugins = ["pytester"]

# A background job of a shell ignores these, and so would every process that a test starts.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# Where everything is installed that a test may need, a skipped test is a mistake: `.ci/run` says so.
NO_SKIPS = os.environ.get("HARNESS_SKIP") == "never"
# But not where it is this version of Python that a test does not apply to, or another that is not there.
LEGITIMATE = ("before 3.12", "no Python 3.", "no cgroup can be made")


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Generator[str, None, None]:
    """The consoles of each test lie by themselves, under a path that is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="h-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def no_troubles_of_earlier_tests() -> None:
    """What one test makes fail in this process is not told to the sessions of the next one."""
    hook._troubles = hook._Troubles()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that another server listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if NO_SKIPS and report.skipped and not any(why in str(report.longrepr) for why in LEGITIMATE):
        report.outcome = "failed"
    return report
