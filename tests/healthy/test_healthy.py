"""Healthy programs stay clean: all of them in ``python -m tests.healthy``."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.healthy.roster import Program, roster
from tests.healthy.trial import tried

# For each kind of trouble at least so many programs look like it.
LEAST = 6
JOBS = 3


def test_every_kind_of_trouble_has_programs_that_look_like_it() -> None:
    """Each has a sentence that says why it is healthy, which is its docstring."""
    subjects = Counter(program.subject for program in roster())

    assert len(subjects) >= 11
    assert min(subjects.values()) >= LEAST


@pytest.mark.parametrize(
    "subject", [pytest.param("standstills.a_rate", marks=pytest.mark.long), "leaks.groups"]
)
def test_a_healthy_program_is_clean(subject: str, tmp_path: Path) -> None:
    """Nothing worse than a note is said of it."""
    (program,) = roster(subject)
    trial = tried(program, tmp_path / "run")

    assert trial.said == ()
    assert trial.status == 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_programs_of_every_kind_are_clean(tmp_path: Path) -> None:
    """One of each kind; all of them, also on a busy machine, are the command's."""
    first = {program.subject: program for program in reversed(roster())}

    def one(program: Program) -> tuple[str, tuple[str, ...], int]:
        trial = tried(program, tmp_path / program.title)
        return program.title, trial.said, trial.status

    with ThreadPoolExecutor(JOBS) as lanes:
        wrong = [found for found in lanes.map(one, first.values()) if found[1:] != ((), 0)]

    assert wrong == []
