"""What every test may use."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from harness.probe.hooks import hook
from harness.read import report
from harness.read.calls.allowlist import Allowlist
from harness.read.history import History
from tests.support.schema import check_report

# The tests start thousands of processes, each of which would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Runs pytest itself, for the tests of the plugin.
pytest_plugins = ["pytester"]

# A background job of a shell ignores these, and so would every process that a test starts.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# Where everything is installed that a test may need, a skipped test is a mistake: `.ci/run` says so.
NO_SKIPS = os.environ.get("HARNESS_SKIP") == "never"
# But not where it is this version of Python that a test does not apply to, or another that is not there.
LEGITIMATE = (
    *("before 3.1", "before Python 3.1", "no Python 3.", "no ruptures for this Python"),
    *("no cgroup can be made", "no such namespace here"),
)


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Generator[str, None, None]:
    """The consoles of each test lie by themselves, under a path that is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="h-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    monkeypatch.setenv("HARNESS_HISTORY", "off")  # the runs of tests are none of this project's
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def no_troubles_of_earlier_tests() -> None:
    """What one test makes fail in this process is not told to the sessions of the next one."""
    hook._troubles = hook._Troubles()


@pytest.fixture(autouse=True, scope="session")
def reports_fit_their_schema() -> Iterator[None]:
    """Every report that a test makes in this process is as `docs/schemas/report.json` says."""
    made = report._build

    def checked(history: History, allowlist: Allowlist | None) -> report.Report:
        document = made(history, allowlist)
        check_report(report.as_json(document))
        return document

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(report, "_build", checked)
        yield


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """A worker that has no test left takes some of another's, since some tests take half a minute."""
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]

    return WorkStealingScheduling(config, log)
