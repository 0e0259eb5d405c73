"""A held loop makes messages come twice, and the report ties the two together; in a thread it does not."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.commanded import harness

pytestmark = pytest.mark.slow

SCENARIOS = Path(__file__).parents[2] / "scenarios"
# A crowded machine is late by itself: that is not the subject here. A service that is full takes no message,
# not even again, so it has room for all of them.
PATIENT = (
    *("--set", "load.max_late_ms=20000", "--set", "load.duration_s=5"),
    *("--set", "target.settings.concurrency=500"),
)
# There a loop that does not run for two thirds of a lease loses it as well, so the control has a longer one.
LONGER = (
    *("--set", "target.settings.lease_s=3", "--set", "faults.stuck-sdk.block_ms=4500"),
    *("--set", 'expect."blocks.max_held_ms"="< 3000"'),
)


@pytest.mark.parametrize(("name", "again"), [("lease", True), ("lease-thread", False)])
@pytest.mark.long
def test_what_a_held_loop_does_to_leases(name: str, again: bool, tmp_path: Path) -> None:
    """One and a half leases on the loop: messages come again, and the line is named. In a thread: none."""
    shutil.copy(SCENARIOS / f"{name}.toml", tmp_path)
    options = PATIENT if again else (*PATIENT, *LONGER)
    run = harness("run", tmp_path / f"{name}.toml", "--json", *options, cwd=tmp_path)
    findings = [finding for finding in run.report["findings"] if finding["rule"] == "leases"]

    assert (run.status, run.report["run"]["outcome"]) == (0, "passed"), run.report["run"]["verdict"]
    assert (run.report["ledger"]["redelivered"] > 0) is again
    assert bool(findings) is again
    for finding in findings:
        told = re.search(
            r"leases? of 1.00 s expired while SdkHost.restart \(.*sdk.py:(\d+)\) held", finding["message"]
        )
        assert told
        assert finding["line"] == int(told[1])
