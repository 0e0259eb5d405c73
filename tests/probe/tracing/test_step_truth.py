"""Programs that keep their own books, against what the record says of them."""

from __future__ import annotations

import json
import sys

import pytest

from harness.record.event import Blocked
from tests.probe.tracing.conftest import Told

# As close as this, in milliseconds or as a share.
NEAR_MS, NEAR = 10, 0.1

NAMES = [
    "timer", "victim", "queued", "head", "middle", "tail", "consume", "cancelled", "gil", "asleep", "socket",
    "late socket", "outer", "inner", "first trace", "second trace", "to_thread", "in the thread", "gather",
    "group", "child 0.07", "child 0.01", "timeout", "crowd", "get /foo1", "get /foo2", "get /foo3",
]  # fmt: skip
EAGER = ["eager", "eager child"]
BEFORE_EAGER = pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before 3.12")


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=BEFORE_EAGER) for name in EAGER)])
def test_each_part_of_a_span_is_what_the_program_itself_has_measured(told: Told, name: str) -> None:
    """Every part is as near to the program's own books as 10 ms or a tenth.

    A busy machine may take the processor away between two readings of the program's clock: where the time
    went that is not in its books, it cannot tell.
    """
    truth = json.loads(told.outcome.stdout)
    measured = {part: seconds * 1e3 for part, seconds in truth[name].items()}
    parts = told.parts_ms(name)
    missing = max(0.0, sum(parts.values()) - sum(measured.values()))

    for part in parts | measured:
        known = measured.get(part, 0.0)
        near = max(NEAR_MS, known * NEAR) + missing
        assert parts.get(part, 0.0) == pytest.approx(known, abs=near), (part, parts, measured)


@pytest.mark.parametrize("name", NAMES)
def test_segments_follow_each_other_without_a_gap(told: Told, name: str) -> None:
    """The segments of a span, and of its critical path, are its whole time, one after the other."""
    span = told.span(name)
    for segments in (told.segments(name), told.path(name)):
        at_s = span.start_ns / 1e9
        for segment in segments:
            assert segment.at_s == pytest.approx(at_s, abs=1e-4)
            at_s = segment.at_s + segment.took_ms / 1e3
        assert at_s == pytest.approx(span.end_ns / 1e9, abs=1e-4)


def test_who_held_the_loop_is_named_with_the_line(told: Told) -> None:
    """The victim of a block waited for the function that held the loop, at the line where it did."""
    line = next(n for n, text in enumerate(_program(told), 1) if "time.sleep(0.09)" in text)

    holder, where, _ = told.blamed("victim", "ready")[0]

    assert (holder, where) == ("behind_a_block.<locals>.hold", f"program.py:{line}")


def test_traces_that_share_a_loop_blame_each_other(told: Told) -> None:
    """Of two traces that compute in turn, each waited for the other."""
    assert told.blamed("first trace", "ready")[0][2] == "second trace"
    assert told.blamed("second trace", "ready")[0][2] == "first trace"


def test_many_short_steps_of_nobodys_trace_are_told(told: Told) -> None:
    """What tasks without a trace held the loop is ready time, whether each of their steps was long or not."""
    holders = {holder for holder, _, _ in told.blamed("crowd", "ready")}

    assert holders & {"<many short callbacks>", "bystanders.<locals>.tick", "compute"}


def test_who_kept_the_gil_is_named(told: Told) -> None:
    """A loop that was due and did not run waited for the thread that kept the GIL, when the block tells it.

    On a busy machine that thread may have had next to no processor by its own clock, or the loop's thread may
    have waited for one by the kernel's: the block tells of that instead, or that it does not know.
    """
    late = next(segment for segment in told.segments("gil") if segment.what == "ready")
    (block,) = (block for block in told.blocks if late.at_s < block.at_s + 0.01 < late.at_s + 0.05)
    (turn,) = (t for t in told.outcome.of(Blocked) if t.ended and abs(t.at_ns / 1e9 - block.at_s) < 0.001)
    computed_ms = json.loads(told.outcome.stdout)["keeper"]["cpu"] * 1e3
    had_processor = computed_ms > late.took_ms * 0.6
    without_processor = (turn.woke_queued_ns or 0) * 2 >= turn.woke_ns - turn.at_ns

    assert late.took_ms > computed_ms * 0.6
    if without_processor:
        assert block.cause == "descheduled"
    elif had_processor:
        assert block.cause == "gil"
    assert block.cause in ("gil", "descheduled", "unknown")
    assert late.who.startswith("keeper: ") == (block.cause == "gil")


def test_what_ran_without_a_processor_is_marked(told: Told) -> None:
    """A step that slept on the loop ran for its whole time, and next to none of it on a processor."""
    longest = max(told.segments("asleep"), key=lambda segment: segment.took_ms)

    assert longest.what == "run"
    assert longest.cpu_ms is not None
    assert longest.cpu_ms < longest.took_ms / 2


def test_a_file_that_became_ready_during_a_turn_is_marked(told: Told) -> None:
    """When a socket became ready behind a block, nobody knows: it is told as ready since the turn began."""
    ready = [segment for segment in told.segments("late socket") if segment.what == "ready"]

    assert any(segment.at_most and segment.took_ms > 50 for segment in ready)
    assert not any(segment.at_most for segment in told.segments("socket"))


def test_who_had_the_thread_is_blamed_for_the_queue(told: Told) -> None:
    """Work that waited in an executor's queue waited for the work before it."""
    assert [holder for holder, _, _ in told.blamed("queued", "queued")] == ["sleep"]


def test_a_lock_convoy_blames_the_one_before(told: Told) -> None:
    """Each member of a convoy waited for the span that had the lock."""
    assert told.blamed("tail", "task")[0][2] == "middle"
    assert told.blamed("middle", "task")[0][2] == "head"


def test_the_critical_path_goes_through_the_child_that_ends_last(told: Told) -> None:
    """Where two children overlap, the path is through the one that was waited for, and never the other."""
    path = told.path("main")
    on_it = list(dict.fromkeys(segment.span for segment in path if segment.what == "run"))
    waits = [
        (segment.at_s, segment.at_s + segment.took_ms / 1e3) for segment in path if segment.what == "timer"
    ]
    foo1, foo3 = told.span("get /foo1"), told.span("get /foo3")

    assert on_it == ["main", "get /foo1", "get /foo3"]
    assert len(waits) == 3
    assert foo1.start_ns / 1e9 <= waits[0][0] < waits[0][1] <= foo1.end_ns / 1e9
    assert foo1.end_ns / 1e9 <= waits[1][0] < waits[1][1] <= foo3.start_ns / 1e9
    assert foo3.start_ns / 1e9 <= waits[2][0] < waits[2][1] <= foo3.end_ns / 1e9


def test_the_critical_path_of_a_group_is_its_slow_child(told: Told) -> None:
    """A group that waits for two children has the slower one on its path."""
    names = {segment.span for segment in told.path("group")}

    assert "child 0.07" in names
    assert "child 0.01" not in names


def test_the_critical_path_goes_through_queues(told: Told) -> None:
    """Who waits for an item waits for what its producer has waited for."""
    kinds = [(segment.what, segment.who) for segment in told.path("consume")]

    assert ("run", "hop.<locals>.produce") in kinds
    assert "timer" in [what for what, _ in kinds]
    assert "task" not in [what for what, _ in kinds]


def test_the_critical_path_goes_through_executors(told: Told) -> None:
    """Who waits for an executor's work has its queue and its thread on the path."""
    kinds = [segment.what for segment in told.path("queued")]

    assert [what for what in kinds if what in ("queued", "executor", "task")] == ["queued", "executor"]


def _program(told: Told) -> list[str]:
    return (told.outcome.folder.path.parent / "program.py").read_text().splitlines()
