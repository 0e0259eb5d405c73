"""Real servers, bare and watched: they do the same, and the report is right about them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.mayhem.errors import SettingsError
from harness.record.run import read_manifest
from harness.record.run_folder import RunFolder
from tests.real.servers.measured import complaints
from tests.real.servers.output import differences
from tests.real.servers.run import Served, serve
from tests.real.servers.table import Case, cases
from tests.support.broker_server import KINDS, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@contextmanager
def broker(kind: str, folder: Path) -> Iterator[int]:
    """The port of such a broker; 0 without one."""
    if not kind:
        yield 0
        return
    try:
        with running(KINDS[kind], folder) as server:
            yield server.port
    except SettingsError as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_real_server_is_unchanged_and_measured(case: Case, tmp_path: Path, programs: Path) -> None:
    """Output, status, reload and end are as without the probe; its blocks, workers and victims are told."""
    with broker(case.server.broker, tmp_path / "before") as port:
        bare = serve(case, tmp_path / "bare", programs, port, is_watched=False)
    with broker(case.server.broker, tmp_path / "after") as port:
        watched = serve(case, tmp_path / "watched", programs, port, is_watched=True)

    assert differences(bare.stdout, watched.stdout, case.server.by_chance) == []
    assert differences(bare.stderr, watched.stderr, case.server.by_chance) == []
    assert seen(watched) == seen(bare)
    report = json.loads((tmp_path / "watched/run/report.json").read_text())
    started_ns = read_manifest(RunFolder(tmp_path / "watched/run")).started_ns
    assert list(complaints(case, watched, report, started_ns)) == []


def seen(served: Served) -> dict[str, object]:
    """What else anybody can see of a server."""
    return {
        "status": served.status if served.status >= 0 else signal.Signals(-served.status).name,
        "answers": [len(answers) for answers in served.rounds],
        "workers": [len(workers) for workers in served.workers],
        "left": list(served.left.values()),
    }
