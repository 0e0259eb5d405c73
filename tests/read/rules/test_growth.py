"""Rules about what grew, against recorded levels."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.record import event
from tests.read.conftest import APPLICATION, LOOP_PID, STDLIB, Record, Recording

MB = 1_000_000
PUBLISH = (
    event.Frame(APPLICATION + "shop.py", 3, "<module>"),
    event.Frame(STDLIB + "asyncio/runners.py", 44, "run"),
    event.Frame(APPLICATION + "feed.py", 20, "publish"),
    event.Frame(STDLIB + "asyncio/streams.py", 325, "StreamWriter.write"),
)


def readings(
    made: Recording,
    levels: Sequence[int],
    *,
    queue: bool = False,
    rss: Sequence[int] = (),
    every_s: float = 1.0,
    fed_per_s: float | None = None,
) -> None:
    """One reading per second of one buffer, which one line feeds."""
    made.loop(turns_ms=[1.0] * 10)
    kind, name = ("queue", "Queue") if queue else ("transport", "_SelectorSocketTransport")
    made.write("target", event.BufferFound(made.at(0), LOOP_PID, 0, kind, name))
    made.write("target", event.BufferFed(made.at(0.1), LOOP_PID, 0, "MainThread", PUBLISH))
    for number, level in enumerate(levels, start=1):
        size = level * 100 if queue else level
        held = event.BufferLevel(0, level if queue else None, size, fed_per_s)
        memory = rss[number - 1] if rss else 50 * MB
        reading = event.GaugesRead(made.at(number * every_s), LOOP_PID, number * MB, memory, 10, (held,))
        made.write("target", reading)


def said(made: Recording) -> list[tuple[str, str, int | None]]:
    made.ended()
    return [(f.level, f.message, f.line) for f in made.document().findings if f.rule == "growth"]


def test_a_transport_that_only_fills_is_written_to_without_drain(record: Record) -> None:
    """The verdict has the line that writes, and how much nobody has read."""
    made = record()
    readings(made, [MB * n for n in range(1, 11)])

    message = (
        "publish (feed.py:20) writes without drain: 10 MB in 1 transport that nobody has read; "
        "they grew from 0.0 s to 9.0 s into the run"
    )
    assert said(made) == [("warning", message, 20)]
    assert made.document().run.verdict == f"P{message[1:]}."


@pytest.mark.parametrize(("fed_per_s", "oldest"), [(200.0, "5.00 s"), (50.0, "10.0 s")])
def test_a_queue_without_a_limit_tells_how_long_its_oldest_item_has_waited(
    record: Record, fed_per_s: float, oldest: str
) -> None:
    """As many items were put since as there are now; but not for longer than the queue is known."""
    made = record()
    readings(made, [100 * n for n in range(1, 11)], queue=True, fed_per_s=fed_per_s)

    message = (
        "publish (feed.py:20) puts into a Queue without maxsize faster than it is emptied: 1,000 items wait "
        f"in 1 queue, the oldest for about {oldest}; they grew from 0.0 s into the run until its end"
    )
    assert said(made) == [("warning", message, 20)]


def test_queues_that_were_not_observed_are_fed_like_those_of_their_class(record: Record) -> None:
    """Of many queues only some are observed; one finding tells of all."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    for number in range(3):
        made.write("target", event.BufferFound(made.at(0), LOOP_PID, number, "queue", "Queue"))
    made.write("target", event.BufferFed(made.at(0.1), LOOP_PID, 0, "MainThread", PUBLISH))
    for second in range(1, 11):
        held = tuple(event.BufferLevel(number, 100 * second, 10_000 * second, None) for number in range(3))
        reading = event.GaugesRead(made.at(second), LOOP_PID, second * MB, 50 * MB, 10, held)
        made.write("target", reading)

    ((_, message, line),) = said(made)
    assert line == 20
    assert "publish (feed.py:20) puts into a Queue" in message
    assert "3,000 items wait in 3 queues" in message


@pytest.mark.parametrize(
    ("levels", "queue"),
    [
        ([10 * MB] * 10, False),
        ([0] * 8 + [30 * MB] * 2, False),
        ([MB * n for n in (2, 4, 6, 8, 10, 8, 6, 4, 2, 0)], False),
        ([MB // 10 * n for n in range(10)], False),
        ([300] * 10, True),
        ([100, 200, 300, 400, 500, 500, 500, 500, 500, 500], True),
        ([200, 400, 600, 800, 1000, 800, 600, 400, 200, 0], True),
        ([10 * n for n in range(10)], True),
        ([150, 20] * 5, True),
    ],
    ids=[
        *("one large write", "all at once", "it drains", "small", "a pool", "a pool that fills"),
        *("a burst that drains", "few items", "it comes and goes"),
    ],
)
def test_levels_that_are_no_growth(record: Record, levels: Sequence[int], queue: bool) -> None:
    """A step, a plateau, what drains, and what is small."""
    made = record()
    readings(made, levels, queue=queue)

    assert said(made) == []


@pytest.mark.parametrize(
    ("rss", "is_told"),
    [
        ([50 + 30 * n for n in range(10)], True),
        ([50, 150, 250, 300, 320, 320, 320, 320, 320, 320], False),
        ([50 + n for n in range(10)], False),
    ],
    ids=["to the end", "a cache that fills", "little"],
)
def test_memory_that_grows_to_the_end_is_a_note(record: Record, rss: Sequence[int], is_told: bool) -> None:
    """Whose it is, is not known; a plateau is a cache or a warm-up."""
    made = record()
    readings(made, [0] * 10, rss=[size * MB for size in rss], every_s=2.0)

    found = said(made)
    assert [level for level, *_ in found] == ["note"] * is_told
    assert all("grew from 50 MB to 320 MB in 18 s" in message for _, message, _ in found)
