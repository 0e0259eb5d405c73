"""Any program that runs an asyncio loop."""

from __future__ import annotations

from ...record.run_folder import RunFolder
from ...record.scenario import ProgramTarget
from .spec import TargetSpec


def spec(target: ProgramTarget, folder: RunFolder) -> TargetSpec:
    """The program as the scenario describes it."""
    return TargetSpec(
        command=target.command,
        cwd=target.cwd,
        env=target.env,
        ready=target.ready,
        stop_signal=target.stop_signal,
        stop_within_s=target.stop_within_s,
    )
