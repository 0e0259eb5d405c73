"""Findings about what held the loops."""

from __future__ import annotations

import pytest

from tests.read.conftest import Look, Record, Recording, Whole

MS = 1_000_000
# Of a turn that waited for a processor.
STARVED: Whole = {"whole_cpu_ns": 2 * MS, "whole_ns": 310 * MS, "whole_queued_ns": 300 * MS}


def unproven(held_ms: int) -> Whole:
    """Of a turn that neither computed nor is known to have waited for a processor."""
    return {"whole_cpu_ns": 2 * MS, "whole_ns": (held_ms + 10) * MS, "whole_queued_ns": 1 * MS}


@pytest.fixture
def made(record: Record) -> Recording:
    """A record with a loop."""
    recording = record()
    recording.loop(limit_ms=50)
    return recording


def said(made: Recording) -> list[tuple[str, str]]:
    """The level and the message of each finding about blocks."""
    made.ended()
    return [(one.level, one.message) for one in made.document().findings if one.rule == "blocks"]


def test_a_turn_without_a_processor_is_a_note(made: Recording, look: Look) -> None:
    """A busy machine is no trouble of the service."""
    made.blocked(4.0, 300, [look("log.py:9 parse")], **STARVED)

    assert said(made) == [("note", "parse held the loop 1 time for up to 300 ms (descheduled)")]


@pytest.mark.parametrize(("held_ms", "level"), [(300, "note"), (1500, "warning")])
def test_what_is_not_proven_must_be_long(made: Recording, look: Look, held_ms: int, level: str) -> None:
    """A short turn that was late for no known reason says nothing of the program."""
    made.blocked(4.0, held_ms, [look("log.py:9 parse")], **unproven(held_ms))

    ((found, message),) = said(made)
    assert found == level
    assert message.endswith("(unknown)")


def test_what_is_not_proven_on_a_busy_machine_is_a_note(made: Recording, look: Look) -> None:
    """The machine is the likelier reason, however long it took."""
    made.blocked(4.0, 1500, [look("log.py:9 parse")], **unproven(1500))
    made.blocked(8.0, 300, [look("log.py:12 read")], **STARVED)

    assert {level for level, _ in said(made)} == {"note"}


def test_the_program_comes_before_a_busy_machine_in_the_first_sentence(made: Recording, look: Look) -> None:
    """Also if the machine held the loop for longer."""
    made.blocked(
        4.0, 600, [look("log.py:9 parse")], whole_cpu_ns=2 * MS, whole_ns=610 * MS, whole_queued_ns=600 * MS
    )
    made.blocked(
        8.0, 200, [look("app.py:3 crunch")], whole_cpu_ns=195 * MS, whole_ns=200 * MS, whole_queued_ns=0
    )
    made.ended()

    assert "25 % of the time in crunch (app.py:3)" in made.document().run.verdict
