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
from tests.support.watched import run_folder, watched

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


LOOPS = """
    import asyncio, sys, time

    async def turn():
        await asyncio.sleep(0)

    cpu_s = time.process_time()
    for _ in range({loops}):
        asyncio.run(turn())
    print(time.process_time() - cpu_s)
"""


def test_what_each_loop_costs_is_told_as_the_probes_own(tmp_path: Path) -> None:
    """A program that runs a loop for each of its calls pays for the beginning and the end of each."""
    costs_s = {}
    for loops in (1, 600):
        (path := tmp_path / str(loops)).mkdir()
        ran = watched(dedent(LOOPS).format(loops=loops), path)
        (closed,) = ran.of(ProbeClosed)
        costs_s[loops] = closed.beside_ns / 1e9
        used_s = float(ran.stdout)

        assert 0 < costs_s[loops] < closed.process_cpu_ns / 1e9
    # The entry, and the end of the process, cost the same in both.
    assert costs_s[600] - costs_s[1] > used_s / 5


ABANDONED = """
    import os, sys
    from harness.probe.feature import Feature
    from harness.probe.session import ProbeSession

    class Shared(Feature):
        name = "shared"

        def abandon(self):
            raise OSError("nothing to release")

        def close(self):
            print("what the parent still uses has ended")

    session = ProbeSession(sys.argv[1], None)
    session.add(Shared())
    if os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    session.abandon()
    ProbeSession(sys.argv[1], None).close()
"""


def test_a_part_that_cannot_release_what_is_the_parents_does_not_end_it(tmp_path: Path) -> None:
    """As in a child after a fork: a socket's file is the parent's too. The child's record tells it."""
    folder = run_folder(tmp_path / "run")
    order = ProbeConfig(folder=str(folder.path), limit_ns=10**9).text()
    command = [sys.executable, "-c", dedent(ABANDONED), order]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout == ""
    (failure,) = recorded(folder.events, ProbeFailed)
    assert (failure.where, failure.error) == ("shared", "OSError: nothing to release")
