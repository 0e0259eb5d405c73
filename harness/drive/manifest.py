"""The manifest of a new run: its parameters, and the time, Python and commit it is made with."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime
from pathlib import Path

from ..record.redact import redacted_command
from ..record.run import Expectation, Run, now_ns


def new_run(
    run_id: str,
    *,
    scenario: str,
    command: tuple[str, ...],
    block_limit_ms: float,
    seed: int = 0,
    expectations: tuple[Expectation, ...] = (),
    max_late_ms: float | None = None,
    settings: dict[str, object] | None = None,
) -> Run:
    """The manifest of a run that starts now in the working directory."""
    return Run(
        id=run_id,
        scenario=scenario,
        started=datetime.now().astimezone().isoformat(timespec="milliseconds"),
        started_ns=now_ns(),
        seed=seed,
        python=platform.python_version(),
        commit=_commit(Path.cwd()),
        command=redacted_command(command),
        block_limit_ns=round(block_limit_ms * 1e6),
        expectations=expectations,
        max_late_ms=max_late_ms,
        settings=settings or {},
    )


def _commit(folder: Path) -> str:
    """The commit checked out in *folder*, with ``+`` if there are changes; "" outside a git repository."""
    describe = ["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    # Without locks: another git command may be running there.
    command = ["git", "--no-optional-locks", "-C", str(folder), *describe]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
