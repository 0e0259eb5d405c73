"""Errors of the probe: whatever raises in it, and whenever, the program runs as it does without the probe.

`python -m tests.harm` makes every function of the probe raise; here it is those that the program nearly calls
itself, several in one program.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness.record.event import Blocked, LoopStarted, ProbeClosed, ProbeFailed
from tests.harm.sabotage import ENDINGS, Point, Ran, bare, sabotaged
from tests.support.pythons import needs_python

# How many programs there are for each phase, in each of which other functions raise.
PROGRAMS = {"entry": 1, "import": 1, "loop": 4, "pool": 1, "fork": 1, "exit": 2}
CASES = [
    pytest.param(phase, part, marks=[pytest.mark.long] * (part > 0))
    for phase, parts in PROGRAMS.items()
    for part in range(parts)
]
# The functions that this many calls in the probe lead to.
DEPTH = 4
# The bare program takes under a second; a machine with other work takes a multiple.
LONGER_S = 40.0


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


# Steps of the probe, with the name in the record of the part that each belongs to.
STEPS = {
    "several": {
        "probe.loop.blocks:BlockWriter.ended": "blocks",
        "probe.tasks.census:Census._count": "census",
        "probe.tasks.losses:TaskLosses.reported": "tasks",
        "probe.tracing.spans:_record": "spans",
    },
    "others": {
        "probe.calls.counts:CallCounts._count": "calls",
        "probe.sampling.sampler:_SignalSampler._sample": "sampler",
        "probe.tracing.executor_log:ExecutorLog._submitted": "executors",
        "probe.tracing.step_log:StepLogger._runner_of": "steps",
    },
    "turns": {"probe.loop.turns:Turns.long_turn": "turns"},
}


@pytest.mark.parametrize("named", STEPS)
def test_a_step_that_raises_is_named_in_the_record_and_nowhere_else(
    named: str, bares: dict[str, Ran], points: dict[Point, int], tmp_path: Path
) -> None:
    """The program runs as without the probe, and the other parts go on."""
    steps = dict(STEPS[named])
    if importlib.util.find_spec("opentelemetry") is None:
        steps = {step: where for step, where in steps.items() if where != "spans"}
    chosen = [(step, phase) for step, phase in points if step in steps]
    done = sabotaged("raise", tmp_path / "one", chosen, kind="Harm")

    assert done.ran == bares["raise"]
    failed = {(failed.where, failed.error) for failed in done.of(ProbeFailed)}
    assert {(where, f"Harm: harm in {step}") for step, where in steps.items()} <= failed
    assert done.of(ProbeClosed)
    if named != "turns":
        assert done.of(Blocked)


def test_what_cannot_be_undone_harms_as_little(
    bares: dict[str, Ran], points: dict[Point, int], tmp_path: Path
) -> None:
    """A timer that nothing stops does not end the process, and a handler is told the program's own frame."""
    steps = {
        "probe.process:ProbedProcess._shutdown_requested",
        "probe.sampling.interval_timer:IntervalTimer.stop",
        "probe.sampling.sampler:_SignalSampler.close",
    }
    chosen = [(step, phase) for step, phase in points if step in steps]
    done = sabotaged("exit", tmp_path / "one", chosen, kind="Harm")

    assert done.ran == bares["exit"]
    assert {step for step, _ in done.raised} == steps


def test_a_handler_that_could_not_be_wrapped_is_told_the_programs_own_frame(
    bares: dict[str, Ran], tmp_path: Path
) -> None:
    """An exhausted stack does not end the observation of signals: others are wrapped, and this one is not."""
    chosen = [("probe.hooks.process.signal_hook:install._observed", "loop")]
    done = sabotaged("exit", tmp_path / "one", chosen, kind="RecursionError")

    assert done.ran == bares["exit"]
    assert done.raised == {*chosen}


def test_a_fork_that_cannot_be_prepared_warns_of_none_of_the_probes_threads(tmp_path: Path) -> None:
    """Since Python 3.12, a fork warns of other threads."""
    python = needs_python("3.12")
    chosen = [("probe.hooks.process.fork_hook:keep_forks_quiet.before", "fork")]
    done = sabotaged("exit", tmp_path / "one", chosen, python=python)

    assert done.ran == bare("exit", python)
    assert done.raised == {*chosen}
    assert {failed.where for failed in done.of(ProbeFailed)} == {"fork"}


def test_without_a_hook_for_forks_there_is_no_thread_of_the_probe(
    bares: dict[str, Ran], tmp_path: Path
) -> None:
    """A child would go on with its parent's probe; so nothing is watched, which the process's mark says."""
    chosen = [("probe.process:ProbedProcess._watch_forks", "entry")]
    done = sabotaged("exit", tmp_path / "one", chosen)

    assert done.ran == bares["exit"]
    assert done.raised == {*chosen}
    assert done.of(LoopStarted) == []
