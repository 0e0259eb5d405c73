"""What the judgement says on a machine whose noise is known, many times over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from harness.read.compare.paired.answer import Answer
from harness.read.compare.paired.false_alarms import false_alarms
from harness.read.compare.paired.measure import Measure
from tests.read.compare.paired.noisy_machine import CPU, NoisyMachine

MACHINES = {
    "usual": NoisyMachine(0),
    "modes of two seconds": NoisyMachine(0, mode_s=2.0),
    "one speed": NoisyMachine(0, slow_ms=44.0, spread=0.012),
    "twice the noise": NoisyMachine(0, spread=0.05, delayed=0.1, delay=0.2),
}


def answers(machine: NoisyMachine, slowdown: float, times: int, measure: Measure = CPU) -> Counter[Answer]:
    trials = [replace(machine, seed=seed).trial(slowdown, measure) for seed in range(times)]
    assert all(trial.pairs <= 50 for trial in trials)
    return Counter(trial.judged[0].answer for trial in trials)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_program_is_not_called_slower(machine: str) -> None:
    """In at most one of fifty comparisons, however much the machine's noise is."""
    said = answers(MACHINES[machine], 0.0, 50)

    assert said[Answer.SLOWER] + said[Answer.FASTER] <= 1


@pytest.mark.parametrize("machine", ["usual", "modes of two seconds", "one speed"])
def test_a_slowdown_is_found(machine: str) -> None:
    """5 % in at least nine of ten, 10 % always; and of the other sign it is faster."""
    assert answers(MACHINES[machine], 0.05, 20)[Answer.SLOWER] >= 18
    assert answers(MACHINES[machine], 0.10, 12)[Answer.SLOWER] == 12
    assert answers(MACHINES[machine], -0.10, 6)[Answer.FASTER] == 6


def test_a_small_slowdown_is_found_when_asked_for() -> None:
    """2 % in at least half; where nobody asks, it is no difference that matters."""
    quiet = MACHINES["one speed"]

    assert answers(quiet, 0.02, 12, Measure("cpu_ms", "ms", limit=0.02))[Answer.SLOWER] >= 6
    assert answers(quiet, 0.02, 12)[Answer.SLOWER] <= 1


def test_a_noisy_machine_says_that_it_cannot_tell() -> None:
    """Noise is not taken for sameness: the answer names the change that would be visible."""
    machine = NoisyMachine(5, spread=0.2, delayed=0.2, delay=0.4)
    trial = machine.trial(0.0)
    (judged,) = trial.judged

    assert judged.answer == Answer.UNKNOWN
    assert judged.visible is not None
    assert judged.visible > 0.05
    assert "noise hides changes below" in judged.why


@pytest.mark.long
@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_program_is_not_called_slower_in_a_thousand(machine: str) -> None:
    """At most 1 %."""
    said = answers(MACHINES[machine], 0.0, 1_000)

    assert said[Answer.SLOWER] <= 10
    assert said[Answer.FASTER] <= 10


def test_pairs_of_a_program_with_itself_tell_its_false_alarms() -> None:
    """Drawn from real pairs with exchanged sides; a program that differs from itself would be noticed."""
    machine = MACHINES["usual"]
    come, differing = machine.pairs(0.0), machine.pairs(0.5)
    alike = [next(come) for _ in range(25)]
    (found,) = false_alarms(alike, [CPU], comparisons=40)
    (exchanged,) = false_alarms([next(differing) for _ in range(25)], [CPU], comparisons=10)

    assert found.comparisons == 40
    assert found.slower + found.faster <= 1
    assert 5 <= found.pairs <= 50
    # Exchanged at random, a difference of one half is noise like any other, only large.
    assert exchanged.unknown >= 8
