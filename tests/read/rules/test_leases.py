"""Messages that came twice: those whose leases a blocked loop let end, and those for other reasons."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.record import event
from tests.read.conftest import Look, Record, Recording

LOOP_PID = 4242
LEASE_S = 1.0


Step = tuple[str, float, float, str]  # name, from_s, to_s, status


class Handlings:
    """What a service says of the messages it handled."""

    def __init__(self, made: Recording) -> None:
        self._made = made
        self._spans = 0

    def handled(
        self, message: str, number: int, from_s: float, to_s: float, *steps: Step, pid: int = LOOP_PID
    ) -> None:
        """One handling."""
        about: Mapping[str, str | int | float] = {
            "messaging.message.id": message,
            "mayhem.delivery": number,
            "mayhem.lease_s": LEASE_S,
        }
        parent = self._span("process restart", "", from_s, to_s, "unset", about, pid)
        for name, begin_s, end_s, status in steps:
            self._span(name, parent, begin_s, end_s, status, {}, pid)

    def _span(
        self,
        name: str,
        parent: str,
        from_s: float,
        to_s: float,
        status: str,
        about: Mapping[str, str | int | float],
        pid: int,
    ) -> str:
        self._spans += 1
        span_id = f"{self._spans:016x}"
        at = self._made.at
        self._made.write(
            "target",
            event.SpanEnded(
                name=name,
                kind="consumer",
                trace_id="0" * 31 + "1",
                span_id=span_id,
                parent_id=parent,
                start_ns=at(from_s),
                end_ns=at(to_s),
                status=status,
                thread="MainThread",
                attributes=about,
                pid=pid,
            ),
        )
        return span_id


@pytest.fixture
def blocked(record: Record, look: Look) -> Recording:
    """A loop that was held from 5.0 s to 6.5 s."""
    made = record()
    made.loop(turns_ms=[1500.0])
    made.blocked(5.0, 1500, [look("hosts.py:44 Host.restart", "lib/time.py:1 sleep")])
    return made


@pytest.fixture
def service(blocked: Recording) -> Handlings:
    return Handlings(blocked)


def said(made: Recording) -> list[tuple[str, int | None]]:
    return [(f.message, f.line) for f in made.document().findings if f.rule == "leases"]


def saved(at_s: float) -> Step:
    return ("save", at_s, at_s + 0.01, "unset")


def test_a_lease_that_ended_under_a_block_is_its_affair(blocked: Recording, service: Handlings) -> None:
    """The finding counts and names the messages, says how many took effect twice, and names the line."""
    service.handled("a", 1, 4.9, 6.6, saved(4.9), ("extend", 6.5, 6.6, "error"))
    service.handled("a", 2, 6.55, 6.7, saved(6.6))
    service.handled("b", 1, 4.95, 6.6)
    service.handled("b", 2, 6.56, 6.7, saved(6.6))

    assert said(blocked) == [
        (
            "2 messages redelivered, and 1 of them took effect twice: their leases of 1.00 s expired "
            "while Host.restart (hosts.py:44) held the loop for up to 1.50 s: a, b",
            44,
        )
    ]


def test_a_lease_begins_again_with_each_extension(blocked: Recording, service: Handlings) -> None:
    """A message in hand for long, extended right before the block, is hurt by it as well."""
    service.handled("a", 1, 2.0, 6.6, ("extend", 4.7, 4.71, "unset"))
    service.handled("a", 2, 6.55, 6.7)

    assert len(said(blocked)) == 1


def test_a_message_that_waited_in_front_of_a_blocked_loop_is_hurt(
    blocked: Recording, service: Handlings
) -> None:
    """It was handed out during the block, long before its handling began: so the next one came early."""
    service.handled("a", 1, 6.51, 6.7)
    service.handled("a", 2, 6.55, 6.9)

    assert len(said(blocked)) == 1


@pytest.mark.parametrize("other", ["handed back", "long before", "another process", "once"])
def test_what_comes_again_for_other_reasons_is_not_blamed_on_it(
    other: str, blocked: Recording, service: Handlings
) -> None:
    """A message that was handed back, one of another time or process, and one that came once."""
    match other:
        case "handed back":
            service.handled("a", 1, 4.9, 6.6, ("nack", 6.5, 6.6, "unset"))
            service.handled("a", 2, 6.7, 6.8)
        case "long before":
            service.handled("a", 1, 1.0, 1.1)
            service.handled("a", 2, 2.1, 2.2)
        case "another process":
            service.handled("a", 1, 4.9, 6.6, pid=LOOP_PID + 1)
            service.handled("a", 2, 6.55, 6.7, pid=LOOP_PID + 1)
        case "once":
            service.handled("a", 1, 4.9, 6.6)

    assert said(blocked) == []
