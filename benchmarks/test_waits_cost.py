"""What the log of steps adds to a loop that the probe watches anyway, when all of it belongs to a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import StepsTaken
from harness.record.reader import Follower
from harness.record.run_folder import RunFolder

from . import probed, sides

WORKLOADS = Path(__file__).parent / "workloads"
# Items of each workload: half a second of CPU time, so that the log is written meanwhile, too.
COUNTS = {"ping": 120_000, "hop": 60_000, "spawn": 80_000, "echo": 12_000}
MESSAGES = 3_000
PAIRS = 8


@pytest.fixture
def python(request):
    return request.config.getoption("--target-python")


@pytest.mark.parametrize("name", COUNTS)
def test_waits(compare, python, tmp_path, name):
    """One span around the whole workload, decomposed, against one that is not; both under the probe."""
    command = [python, str(WORKLOADS / f"{name}.py"), str(COUNTS[name]), "in_a_span"]
    base = sides.program(command, environment=probed.environment(tmp_path / "plain"), folder=tmp_path)
    inside = probed.environment(tmp_path / "run", waits=1.0)
    head = sides.program(command, environment=inside, folder=tmp_path)

    compare(name, "waits, every trace", base, head, pairs=PAIRS)

    assert _logged(tmp_path / "run") > COUNTS[name]


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_service(compare, python, tmp_path, share):
    """The chaos service with every message traced, and that share of them decomposed."""
    command = [python, str(WORKLOADS / "service.py"), "memory:", str(MESSAGES), "traced"]
    base = sides.program(command, environment=probed.environment(tmp_path / "plain"), folder=tmp_path)
    inside = probed.environment(tmp_path / "run", waits=share)
    head = sides.program(command, environment=inside, folder=tmp_path)

    compare("service, memory:", f"waits, {share:.0%} of traces", base, head, pairs=PAIRS)

    assert _logged(tmp_path / "run") > MESSAGES * share


def _logged(run: Path) -> int:
    """The bytes of the log, which are more than the steps that were to be logged."""
    events = [event for _, event in Follower(RunFolder(run).events).new_events()]
    assert not any(event.dropped for event in events if isinstance(event, StepsTaken))
    return sum(len(event.steps) for event in events if isinstance(event, StepsTaken))
