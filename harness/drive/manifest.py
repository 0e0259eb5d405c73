"""The manifest of a new run: its parameters, and the time, Python and commit it is made with."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..record.redact import redacted_command
from ..record.run import Expectation, Run, now_ns

if TYPE_CHECKING:
    from ..record.scenario import Scenario


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
    scenario_file: Path | None = None,
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
        branch=_branch(Path.cwd()),
        host=platform.node(),
        command=redacted_command(command),
        block_limit_ns=round(block_limit_ms * 1e6),
        expectations=expectations,
        max_late_ms=max_late_ms,
        settings=settings or {},
        scenario_file=str(scenario_file.resolve()) if scenario_file is not None else "",
    )


def new_scenario_run(
    run_id: str,
    scenario: Scenario,
    command: tuple[str, ...],
    *,
    settings: Mapping[str, object] | None = None,
    scenario_file: Path | None = None,
) -> Run:
    """The same of a scenario, with further *settings*."""
    return new_run(
        run_id,
        scenario=scenario.name,
        command=command,
        block_limit_ms=scenario.probe.block_ms,
        seed=scenario.seed,
        expectations=scenario.expectations,
        max_late_ms=scenario.load.max_late_ms if scenario.load else None,
        settings=scenario.public() | dict(settings or {}),
        scenario_file=scenario_file,
    )


# CI checks out a commit, not a branch, and says in a variable which branch it is of: first of a pull request.
_BRANCHES = (
    "GITHUB_HEAD_REF",
    "GITHUB_REF_NAME",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_REF_NAME",
    "BUILDKITE_BRANCH",
)


def _commit(folder: Path) -> str:
    """The commit checked out in *folder*, with ``+`` if there are changes; "" outside a git repository."""
    return _git(folder, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")


def _branch(folder: Path) -> str:
    """The branch checked out in *folder*, or that CI names; "" if neither is known."""
    checked_out = _git(folder, "symbolic-ref", "--short", "--quiet", "HEAD")
    return checked_out or next((name for each in _BRANCHES if (name := os.environ.get(each))), "")


def _git(folder: Path, *arguments: str) -> str:
    """What git says about *folder*; "" if it fails."""
    # Without locks: another git command may be running there.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
