"""Errors of the probe: whatever raises in it, and whenever, the program runs as it does without the probe.

`python -m tests.harm` makes every function of the probe raise; here it is those that the program nearly calls
itself, several in one program.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import Blocked, ProbeClosed, ProbeFailed
from tests.harm.sabotage import ENDINGS, Point, Ran, bare, sabotaged

# How many programs there are for each phase, in each of which other functions raise.
PROGRAMS = {"entry": 1, "import": 2, "loop": 4, "pool": 1, "fork": 2, "exit": 2}
CASES = [(phase, part) for phase, parts in PROGRAMS.items() for part in range(parts)]
# The functions that this many calls in the probe lead to.
DEPTH = 4
# The bare program takes under a second; a machine with other work takes a multiple.
LONGER_S = 20.0


@pytest.fixture(scope="session")
def bares() -> dict[str, Ran]:
    """The program without the probe, by its ending."""
    return {ending: bare(ending) for ending in ENDINGS}


@pytest.fixture(scope="session")
def points(tmp_path_factory: pytest.TempPathFactory, bares: dict[str, Ran]) -> dict[Point, int]:
    """What the program reaches in the probe while nothing raises."""
    whole = sabotaged("exit", tmp_path_factory.mktemp("harm") / "whole")
    assert whole.ran == bares["exit"]
    assert whole.of(ProbeFailed) == []
    return whole.seen


@pytest.mark.parametrize(("phase", "part"), CASES)
def test_a_program_does_not_notice_that_the_probe_fails(
    phase: str, part: int, bares: dict[str, Ran], points: dict[Point, int], tmp_path: Path
) -> None:
    """Output and status are those without the probe, whatever the error, and nothing waits."""
    near = sorted(point for point, depth in points.items() if point[1] == phase and depth <= DEPTH)
    chosen = near[part :: PROGRAMS[phase]]
    ending = ENDINGS[part % len(ENDINGS)]
    done = sabotaged(ending, tmp_path / "one", chosen)

    assert done.ran == bares[ending]
    assert done.ran.took_s < bares[ending].took_s + LONGER_S
    assert done.raised


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("probe.loop.blocks:BlockWriter.ended", "blocks"),
        ("probe.tracing.spans:_record", "spans"),
        ("probe.tasks.census:Census._count", "census"),
        ("probe.sampling.sampler:_SignalSampler._sample", "sampler"),
        ("probe.tracing.executor_log:ExecutorLog._submitted", "executors"),
        ("probe.calls.counts:CallCounts._count", "calls"),
        ("probe.tasks.losses:TaskLosses.reported", "tasks"),
        ("probe.loop.turns:Turns.long_turn", "turns"),
        ("probe.tracing.step_log:StepLogger._runner_of", "steps"),
    ],
)
def test_a_step_that_raises_is_named_in_the_record_and_nowhere_else(
    step: str, where: str, bares: dict[str, Ran], points: dict[Point, int], tmp_path: Path
) -> None:
    """The program runs as without the probe, and the other parts go on."""
    phases = [phase for key, phase in points if key == step]
    if where == "spans" and not phases:
        pytest.skip("OpenTelemetry is not installed")
    done = sabotaged("raise", tmp_path / "one", [(step, phase) for phase in phases], kind="Harm")

    assert done.ran == bares["raise"]
    failed = {(failed.where, failed.error) for failed in done.of(ProbeFailed)}
    assert (where, f"Harm: harm in {step}") in failed
    assert done.of(ProbeClosed)
    if where != "turns":
        assert done.of(Blocked)
