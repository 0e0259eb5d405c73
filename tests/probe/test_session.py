"""The probe's session, as its parts use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from harness.probe.session import ERRORS_RECORDED
from harness.record.event import ProbeClosed, ProbeFailed
from harness.record.probe_config import ProbeConfig
from tests.support.recorded import recorded
from tests.support.watched import run_folder

# The last part of an error is what the part of the probe raised.
FAILING = """
    import sys
    from harness.probe.session import ProbeSession

    session = ProbeSession(sys.argv[1], None)
    for number in range(100):
        session.failed("a part", ValueError(f"error {number}"))
    session.close()
"""


def test_errors_that_repeat_are_recorded_up_to_a_limit_and_all_counted(tmp_path: Path) -> None:
    """The first ones say what is wrong; the record does not fill with the others."""
    folder = run_folder(tmp_path / "run")
    order = ProbeConfig(folder=str(folder.path), limit_ns=10**9).text()
    subprocess.run([sys.executable, "-c", dedent(FAILING), order], check=True, timeout=60)

    failures = recorded(folder.events, ProbeFailed)
    assert [each.error for each in failures] == [f"ValueError: error {n}" for n in range(ERRORS_RECORDED)]
    assert {each.where for each in failures} == {"a part"}
    (closed,) = recorded(folder.events, ProbeClosed)
    assert closed.failures == 100
