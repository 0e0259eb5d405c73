"""The target as a process of the runner's."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.drive.process.target import TargetProcess
from harness.drive.targets.spec import TargetSpec
from harness.record.event import Event, TargetExited, TargetStopping
from harness.record.probe_config import ProbeConfig
from tests.support.recorded import of_kind
from tests.support.watched import run_folder


async def test_the_end_of_a_target_is_told_once(tmp_path: Path) -> None:
    """When it is seen, and not again when the target is stopped at the end of the run."""
    command = (sys.executable, "-I", "-S", "-c", "raise SystemExit('no such table')")
    spec = TargetSpec(command, tmp_path, None, "SIGTERM", 5)
    config = ProbeConfig(folder=str(run_folder(tmp_path / "run").path), limit_ns=10**9)
    told: list[Event] = []
    target = await TargetProcess.start(spec, config, tmp_path / "run" / "target.log", told.append)

    assert await target.wait_ended() == "with status 1; its last line: no such table"
    assert await target.stop() is None
    (end,) = of_kind(told, TargetExited)
    assert (end.status, end.expected, end.last_lines) == (1, False, ("no such table",))
    assert of_kind(told, TargetStopping) == []
