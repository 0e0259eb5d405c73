"""A held loop makes messages come twice, and the report ties the two together; in a thread it does not."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.commanded import harness

pytestmark = pytest.mark.slow

SCENARIOS = Path(__file__).parents[2] / "scenarios"
# A crowded machine is late by itself: that is not the subject here.
PATIENT = ("--set", "load.max_late_ms=20000", "--set", "load.duration_s=5")


@pytest.mark.parametrize(("name", "again"), [("lease", True), ("lease-thread", False)])
def test_what_a_held_loop_does_to_leases(name: str, again: bool, tmp_path: Path) -> None:
    """1.5 s on the loop, a lease of 1 s: messages come again, and the line is named. In a thread: none."""
    shutil.copy(SCENARIOS / f"{name}.toml", tmp_path)
    run = harness("run", tmp_path / f"{name}.toml", "--json", *PATIENT, cwd=tmp_path)
    findings = [finding for finding in run.report["findings"] if finding["rule"] == "leases"]

    assert (run.status, run.report["run"]["outcome"]) == (0, "passed")
    assert (run.report["ledger"]["redelivered"] > 0) is again
    assert bool(findings) is again
    for finding in findings:
        told = re.search(
            r"leases? of 1.00 s expired while SdkHost.restart \(.*sdk.py:(\d+)\) held", finding["message"]
        )
        assert told
        assert finding["line"] == int(told[1])
