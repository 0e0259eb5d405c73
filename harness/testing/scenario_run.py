"""A scenario that a test runs, in a process of its own, and what became of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

# A run that is interrupted undoes its faults, stops its target, and reports.
STOP_WITHIN_S = 30.0
# Of what a run says where it has no report.
LAST_LINES = 5


class ScenarioRun:
    """The fixture ``scenario_run``; the scenario runs once, when its outcome is first asked for."""

    def __init__(self, scenario: Path, overrides: Sequence[str] = (), *, judged: bool = True) -> None:
        self.scenario = scenario
        self._overrides = overrides
        self._judged = judged

    @property
    def status(self) -> int:
        """The exit status, as of ``harness run``: 0 only if all expectations were met."""
        return self._ended.returncode

    @cached_property
    def report(self) -> dict[str, Any]:
        """The content of report.json; empty where nothing was started."""
        return json.loads(self._ended.stdout) if self._ended.stdout else {}

    @property
    def verdict(self) -> str:
        """The first sentence of the report, or what was wrong with the scenario."""
        if self.report:
            return str(self.report["run"]["verdict"])
        return "\n".join(self._ended.stderr.strip().splitlines()[-LAST_LINES:])

    @property
    def folder(self) -> Path:
        """The run's folder, which has report.html; that of all runs where nothing was started."""
        return Path("reports", *([self.report["run"]["id"]] if self.report else []))

    def failure(self) -> str:
        """Why the test fails, "" if it does not."""
        if not self._judged or self.status == 0:
            return ""
        return "\n".join([f"{self.scenario}: {self.verdict}", *self._details()])

    def _details(self) -> Iterable[str]:
        for one in self.report.get("expectations", ()):
            if not one["passed"]:
                value = one["value"] if one["value"] is not None else f"not measured: {one['unmeasured']}"
                yield f"    {one['name']} {one['limit']}: {value}"
        if self.report:
            yield f"    see {self.folder / 'report.html'}"

    @cached_property
    def _ended(self) -> subprocess.CompletedProcess[str]:
        overrides = [word for one in self._overrides for word in ("--set", one)]
        command = [sys.executable, "-m", "harness", "run", "--json", str(self.scenario), *overrides]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                stdout, stderr = process.communicate()
            except BaseException:
                _stop(process)
                raise
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its target and its faults end with it
