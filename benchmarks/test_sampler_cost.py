"""What the sampler adds to a loop that the probe watches anyway, by the ticks that were asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.record.event import SamplesCounted
from harness.record.reader import Follower
from harness.record.run_folder import RunFolder

from . import probed, sides

WORKLOADS = Path(__file__).parent / "workloads"
# Items of each workload: more than a second of CPU time, so that samples are written meanwhile, too.
COUNTS = {"hop": 200_000, "echo": 25_000, "idle": 100}
PAIRS = 8
# Of those that are done by turns in one process: some 30 ms.
SLICES = {"hop": 4_000, "echo": 1_000}


@pytest.mark.parametrize("name", SLICES)
@pytest.mark.parametrize("hz", [100, 1000])
def test_ticks(tell, benchmark, request, tmp_path, name, hz):
    """The ticks and the looks alone: two loops of a process by turns, samples taken of one of them."""
    python = request.config.getoption("--target-python")
    command = [python, str(WORKLOADS / f"{name}.py"), str(SLICES[name]), "by_turns", str(hz)]
    found = []
    benchmark.pedantic(
        lambda: found.append(sides.program(command, environment=os.environ, folder=tmp_path)())
    )

    tell(name, f"ticks alone, {hz} Hz", found[0]["pairs"])

    assert found[0]["looks"] > hz


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("hz", [100, 1000])
def test_sampler(compare, request, tmp_path, name, hz):
    """The probe with its sampler, against the probe without; each process has samples to show for it."""
    python = request.config.getoption("--target-python")
    command = [python, str(WORKLOADS / f"{name}.py"), str(COUNTS[name])]
    plain = probed.environment(tmp_path / "plain")
    sampled = probed.environment(tmp_path / "sampled", sample_hz=hz)
    base = sides.program(command, environment=plain, folder=tmp_path)
    head = sides.program(command, environment=sampled, folder=tmp_path)

    compare(name, f"sampler, {hz} Hz", base, head, pairs=PAIRS)

    events = [event for _, event in Follower(RunFolder(tmp_path / "sampled").events).new_events()]
    told = {event.pid for event in events if isinstance(event, SamplesCounted) and event.stacks}
    assert len(told) == len(probed.turns(tmp_path / "sampled"))
